/** OTLP over HTTP: recorded exports become events, once, and answers are OTLP's. */
import { BinaryReader } from "@bufbuild/protobuf/wire";
import { beforeAll, describe, expect, it } from "vitest";
import logsJson from "./fixtures/otlp/logs.json";
import logsProtobuf from "./fixtures/otlp/logs.pb.bin";
import tracesJson from "./fixtures/otlp/traces.json";
import tracesProtobuf from "./fixtures/otlp/traces.pb.bin";
import { newTenant, startWorker, type Tenant } from "../workers/harness";

const PROTOBUF = "application/x-protobuf";
const JSON_TYPE = "application/json";
const worker = startWorker();
let tenant: Tenant;

interface Sent {
  status: number;
  type: string | null;
  bytes: Uint8Array;
  headers: Headers;
}
async function send(
  signal: "traces" | "logs",
  body: BodyInit,
  type: string,
  headers: Record<string, string> = {},
  on = worker,
): Promise<Sent> {
  const response = await on.fetch(
    new Request(`https://tollgate.test/v1/${signal}`, {
      method: "POST",
      headers: { authorization: `Bearer ${tenant.apiKey}`, "content-type": type, ...headers },
      body,
    }),
  );
  const bytes = new Uint8Array(await response.arrayBuffer());
  return { status: response.status, type: response.headers.get("content-type"), bytes, headers: response.headers };
}
const textOf = ({ bytes }: Sent) => new TextDecoder().decode(bytes);
const sendJson = (body: unknown, headers: Record<string, string> = {}, on = worker) =>
  send("traces", JSON.stringify(body), JSON_TYPE, headers, on);
/** The fields of a message, nested ones by their numbers. */
function fieldsOf(bytes: Uint8Array): Record<number, unknown> {
  const reader = new BinaryReader(bytes);
  const fields: Record<number, unknown> = {};
  while (reader.pos < reader.len) {
    const [field, type] = reader.tag();
    fields[field] = type === 2 ? reader.bytes() : Number(reader.int64());
  }
  return fields;
}
const text = (bytes: unknown) => new TextDecoder().decode(bytes as Uint8Array);
const gzip = async (bytes: BodyInit) =>
  new Response(new Response(bytes).body!.pipeThrough(new CompressionStream("gzip"))).arrayBuffer();

const span = (of: Record<string, unknown> = {}, id = 1) => ({
  traceId: id.toString(16).padStart(32, "1"),
  spanId: id.toString(16).padStart(16, "1"),
  endTimeUnixNano: "1795253402250000000",
  attributes: Object.entries({ "tollgate.customer": "customer-9", "gen_ai.usage.input_tokens": 10, ...of }).map(
    ([key, value]) => ({
      key,
      value: typeof value === "number" ? { intValue: String(value) } : { stringValue: value },
    }),
  ),
});
const spans = (...list: object[]) => ({ resourceSpans: [{ scopeSpans: [{ spans: list }] }] });
const wallet = async (customer: string, { apiKey } = tenant) =>
  (await worker.call<{ balance: string; unrated: number }>("GET", `/api/v1/wallets/${customer}`, { key: apiKey })).body;
/** A Worker that lets us hear what its objects are told. */
function listening() {
  const events: string[] = [];
  const on = startWorker({
    override: (context) => ({
      customer: (name) =>
        new Proxy(context.customer(name), {
          get(object, property) {
            if (property !== "record") return Reflect.get(object, property) as unknown;
            return (...[call, eventsJson, plain]: Parameters<typeof object.record>) => {
              events.push(eventsJson);
              return object.record(call, eventsJson, plain);
            };
          },
        }),
    }),
  });
  return { on, events };
}
const REJECTED = "1 span: no customer is named; set the attribute tollgate.customer, or user.id";

beforeAll(async () => {
  tenant = await newTenant(worker);
  const rules = [
    { feature: "assistant", dimension: "inputTokens", rate: 1, per: 1000 },
    { feature: "assistant", dimension: "outputTokens", rate: 2, per: 1000 },
    { feature: "assistant", dimension: "cacheReadTokens", rate: 0, per: 1 },
    { feature: "assistant", dimension: "cacheWriteTokens", rate: 0, per: 1 },
    { feature: "assistant", dimension: "reasoningTokens", rate: 0, per: 1 },
    { dimension: "inputTokens", rate: 1, per: 1 },
    { dimension: "outputTokens", rate: 1, per: 1 },
  ];
  const table = { key: "t", currency: "CREDITS", rules, effectiveFrom: "2026-01-01T00:00:00Z" };
  expect((await worker.call("POST", "/api/v1/burn-tables", { key: tenant.apiKey, body: table })).status).toBe(201);
});

describe("an export", () => {
  it("of recorded spans is debited once, in whatever encoding it comes and however often", async () => {
    for (const [body, type, headers] of [
      [tracesProtobuf, PROTOBUF, {}],
      [JSON.stringify(tracesJson), JSON_TYPE, {}],
      [await gzip(tracesProtobuf), PROTOBUF, { "content-encoding": "gzip" }],
      [await gzip(JSON.stringify(tracesJson)), `${JSON_TYPE}; charset=utf-8`, { "content-encoding": "gzip" }],
    ] as const) {
      const sent = await send("traces", body, type, headers);
      expect([sent.status, sent.type]).toEqual([200, type.split(";")[0]]);
      if (type === PROTOBUF) {
        const { 1: partialSuccess } = fieldsOf(sent.bytes);
        const { 1: count, 2: message } = fieldsOf(partialSuccess as Uint8Array);
        expect([count, text(message)]).toEqual([1, REJECTED]);
      } else expect(textOf(sent)).toBe(`{"partialSuccess":{"rejectedSpans":"1","errorMessage":"${REJECTED}"}}`);
      // 1200 ÷ 1000 + 350 × 2 ÷ 1000; the cache read of the second span is more than its input, and has no rule either.
      expect((await wallet("customer-1")).balance).toBe("-1.9");
      expect(await wallet("customer-2")).toMatchObject({ balance: "0", unrated: 1 });
    }
  });

  it("of recorded log records is too", async () => {
    for (const [body, type] of [
      [logsProtobuf, PROTOBUF],
      [JSON.stringify(logsJson), JSON_TYPE],
    ] as const) {
      const sent = await send("logs", body, type);
      expect([sent.status, textOf(sent)]).toEqual([200, type === PROTOBUF ? "" : "{}"]);
      expect((await wallet("customer-3")).balance).toBe("-33");
    }
  });

  it("reaches objects without a word of a prompt", async () => {
    const { on, events } = listening();
    for (const [signal, body] of [
      ["traces", tracesProtobuf],
      ["logs", logsProtobuf],
    ] as const)
      expect((await send(signal, body, PROTOBUF, {}, on)).status).toBe(200);
    expect(events).toHaveLength(3);
    expect(events.join()).toContain("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa2:aaaaaaaaaaaaaaa3");
    expect(events.join()).not.toContain("secret");
  });

  it("without usage is taken and leaves nothing", async () => {
    const sent = await sendJson(
      spans({ ...span(), attributes: [{ key: "http.method", value: { stringValue: "GET" } }] }),
    );
    expect([sent.status, textOf(sent)]).toEqual([200, "{}"]);
    expect(textOf(await sendJson({}))).toBe("{}");
    expect((await send("traces", new Uint8Array(), PROTOBUF)).status).toBe(200);
  });

  it("is counted in part, and says what was left out and why", async () => {
    const sent = await sendJson(
      spans(
        span({}, 2),
        span({ "tollgate.customer": "" }, 3),
        span({ "tollgate.customer": "" }, 4),
        span({ "gen_ai.usage.input_tokens": "lots" }, 5),
        span({ "tollgate.customer": "x".repeat(513) }, 6),
        span({ "gen_ai.request.model": "m".repeat(600) }, 7),
      ),
    );
    expect(JSON.parse(textOf(sent))).toEqual({
      partialSuccess: {
        rejectedSpans: "5",
        errorMessage:
          "2 spans: no customer is named; set the attribute tollgate.customer, or user.id; " +
          "1 span: gen_ai.usage.input_tokens is no number; 1 span: customer must be at most 512 characters; " +
          "1 span: model must be at most 512 characters",
      },
    });
    expect((await wallet("customer-9")).balance).toBe("-10");
  });

  it("keeps numbers that no double carries", async () => {
    await sendJson(
      spans({
        ...span({ "tollgate.customer": "customer-huge" }, 8),
        attributes: [
          { key: "tollgate.customer", value: { stringValue: "customer-huge" } },
          { key: "gen_ai.usage.input_tokens", value: { intValue: "9007199254740993" } },
        ],
      }),
    );
    expect((await wallet("customer-huge")).balance).toBe("-9007199254740993");
  });

  it("is of the sandbox's time where it has none", async () => {
    const sandbox = await newTenant(worker, "sandbox");
    const headers = { authorization: `Bearer ${sandbox.apiKey}` };
    await worker.call("PUT", "/api/v1/clock", { key: sandbox.apiKey, body: { now: "2031-01-01T00:00:00Z" } });
    const { endTimeUnixNano: _, ...timeless } = span({}, 9);
    const { on, events } = listening();
    expect((await sendJson(spans(timeless), headers, on)).status).toBe(200);
    expect(JSON.parse(events[0]!)).toMatchObject([{ time: Date.parse("2031-01-01T00:00:00Z") }]);
  });
});

describe("what is no export", () => {
  it.each<[string, BodyInit, string, Record<string, string>, number, number]>([
    ["protobuf that is cut off", new Uint8Array(tracesProtobuf).subarray(0, 100), PROTOBUF, {}, 400, 3],
    ["noise", new Uint8Array([255, 255, 255]), PROTOBUF, {}, 400, 3],
    ["JSON that is none", "{", JSON_TYPE, {}, 400, 3],
    ["JSON of another shape", '{"resourceSpans":1}', JSON_TYPE, {}, 400, 3],
    ["nothing", "", JSON_TYPE, {}, 400, 3],
    ["gzip that is none", "plain", PROTOBUF, { "content-encoding": "gzip" }, 400, 3],
    ["another compression", "x", PROTOBUF, { "content-encoding": "zstd" }, 415, 3],
    ["a larger body than any", new Uint8Array(10 * 1024 * 1024 + 1), PROTOBUF, {}, 413, 3],
  ])("is refused with a status in its encoding: %s", async (_, body, type, headers, status, code) => {
    const sent = await send("traces", body, type, headers);
    expect([sent.status, sent.type]).toEqual([status, type]);
    if (type === PROTOBUF) {
      const fields = fieldsOf(sent.bytes);
      expect([fields[1], text(fields[2]).length > 10]).toEqual([code, true]);
    } else expect(JSON.parse(textOf(sent))).toEqual({ code, message: expect.any(String) });
  });

  it("does not unpack a bomb", async () => {
    const bomb = await gzip(new Uint8Array(16 * 1024 * 1024));
    expect(bomb.byteLength).toBeLessThan(100_000);
    expect((await send("traces", bomb, PROTOBUF, { "content-encoding": "gzip" })).status).toBe(413);
  });

  it("is refused for another content type, and for more events than a batch may have", async () => {
    expect(await send("traces", "x", "text/plain")).toMatchObject({ status: 415, type: JSON_TYPE });
    const many = Array.from({ length: 10_001 }, (_, id) => span({ "tollgate.customer": "customer-many" }, id + 100));
    expect((await sendJson(spans(...many))).status).toBe(413);
    expect((await wallet("customer-many")).balance).toBe("0");
  });

  it("opens with a key that may ingest only", async () => {
    const headers = { authorization: "Bearer tg_wrong" };
    expect((await send("traces", tracesProtobuf, PROTOBUF, headers)).status).toBe(401);
  });
});

describe("when an object cannot take it", () => {
  const failing = (error: object) =>
    startWorker({
      override: (context) => ({
        customer: (name) =>
          new Proxy(context.customer(name), {
            get: (object, property) =>
              property === "record"
                ? () => Promise.reject(Object.assign(new Error("no"), error))
                : Reflect.get(object, property),
          }),
      }),
    });

  it.each([
    ["overloaded", { overloaded: true }],
    ["gone", {}],
  ])("%s, it says when to try again, and the repetition counts", async (_, error) => {
    const customer = `customer-${Object.keys(error).length}-late`;
    const body = spans(span({ "tollgate.customer": customer }, 20));
    const refused = await sendJson(body, {}, failing(error));
    expect([refused.status, JSON.parse(textOf(refused)).code]).toEqual([503, 14]);
    expect(Number(refused.headers.get("retry-after"))).toBeGreaterThan(0);
    expect((await sendJson(body)).status).toBe(200);
    expect((await wallet(customer)).balance).toBe("-10");
  });
});
