/** Export requests as a real SDK sent them, and as nobody should. */
import { BinaryWriter, WireType } from "@bufbuild/protobuf/wire";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { readExact } from "../core/exact-json";
import type { TelemetryRecord } from "../core/gen-ai";
import logsJson from "./fixtures/otlp/logs.json";
import logsProtobuf from "./fixtures/otlp/logs.pb.bin";
import tracesJson from "./fixtures/otlp/traces.json";
import tracesProtobuf from "./fixtures/otlp/traces.pb.bin";
import { readJsonExport } from "../workers/otlp/read-json";
import { readProtobuf } from "../workers/otlp/read-protobuf";
import { Undecodable, type Signal, type Visit } from "../workers/otlp/record-reader";

const collected = (read: (visit: Visit) => void): TelemetryRecord[] => {
  const records: TelemetryRecord[] = [];
  read((record) => void records.push(record));
  return records;
};
const binary = (signal: Signal, bytes: Uint8Array) => collected((visit) => readProtobuf(signal, bytes, visit));
const json = (signal: Signal, body: unknown) =>
  collected((visit) => readJsonExport(signal, readExact(JSON.stringify(body)).value, visit));

const RECORDED = [
  ["traces", new Uint8Array(tracesProtobuf), tracesJson],
  ["logs", new Uint8Array(logsProtobuf), logsJson],
] as const;

describe.each(RECORDED)("what the SDK exports as %s", (signal, bytes, body) => {
  it("reads the same in both encodings", () => {
    const records = binary(signal, bytes);
    expect(records).toHaveLength(signal === "traces" ? 4 : 2);
    expect(json(signal, body)).toEqual(records);
  });

  it("is read without its prompts", () => {
    expect(new TextDecoder().decode(bytes)).toContain("the prompt is a secret");
    for (const records of [binary(signal, bytes), json(signal, body)])
      for (const { attributes, resource } of records)
        expect([...attributes, ...resource].flat().join()).not.toContain("secret");
  });

  it("is refused when it is cut off, wherever", () => {
    for (let end = 1; end < bytes.length; end++) {
      const read = (): unknown => binary(signal, bytes.subarray(0, end));
      expect(read, `${end} bytes`).toThrow(Undecodable);
    }
  });
});

it("reads a recorded span to the last attribute", () => {
  const [span] = binary("traces", new Uint8Array(tracesProtobuf));
  expect(span).toMatchObject({
    traceId: "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa2",
    spanId: "aaaaaaaaaaaaaaa3",
    at: Date.parse("2026-11-21T09:30:02.250Z"),
    resource: new Map([["service.name", "chat-service"]]),
  });
  expect(Object.fromEntries(span!.attributes)).toEqual({
    "gen_ai.operation.name": "chat",
    "gen_ai.provider.name": "openai",
    "gen_ai.request.model": "gpt-4o",
    "gen_ai.response.model": "gpt-4o-2024-08-06",
    "gen_ai.usage.input_tokens": 1200,
    "gen_ai.usage.output_tokens": 350,
    "gen_ai.usage.cache_read.input_tokens": 200,
    "gen_ai.usage.cache_creation.input_tokens": 100,
    "gen_ai.usage.reasoning.output_tokens": 50,
    "tollgate.customer": "customer-1",
    "tollgate.feature": "assistant",
  });
});

describe("numbers of 64 bits", () => {
  const span = (value: object, times: object = {}) => ({
    resourceSpans: [
      { scopeSpans: [{ spans: [{ attributes: [{ key: "gen_ai.usage.input_tokens", value }], ...times }] }] },
    ],
  });
  const valueOf = (body: object) => json("traces", body)[0]!.attributes.get("gen_ai.usage.input_tokens");
  const binaryValue = (write: (writer: BinaryWriter) => unknown) => {
    const message = (field: number, inner: BinaryWriter) =>
      new BinaryWriter().tag(field, WireType.LengthDelimited).bytes(inner.finish());
    const value = new BinaryWriter();
    write(value);
    const attribute = new BinaryWriter().tag(1, WireType.LengthDelimited).string("gen_ai.usage.input_tokens");
    attribute.tag(2, WireType.LengthDelimited).bytes(value.finish());
    const bytes = message(1, message(2, message(2, message(9, attribute)))).finish();
    return binary("traces", bytes)[0]!.attributes.get("gen_ai.usage.input_tokens");
  };

  it("are exact in both encodings", () => {
    const any = fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n });
    fc.assert(
      fc.property(any, (value) => {
        const expected = Number.isSafeInteger(Number(value)) ? Number(value) : JSON.rawJSON(String(value));
        expect(valueOf(span({ intValue: String(value) }))).toEqual(expected);
        expect(valueOf(span({ intValue: JSON.rawJSON(String(value)) }))).toEqual(expected);
        expect(binaryValue((writer) => writer.tag(3, WireType.Varint).int64(value))).toEqual(expected);
      }),
    );
  });

  it("may be doubles, and NaN says nothing", () => {
    expect([valueOf(span({ doubleValue: 12.5 })), valueOf(span({ doubleValue: "NaN" }))]).toEqual([12.5, null]);
    expect(binaryValue((writer) => writer.tag(4, WireType.Bit64).double(12.5))).toBe(12.5);
    expect(binaryValue((writer) => writer.tag(4, WireType.Bit64).double(Number.NaN))).toBe(null);
    expect(valueOf(span({ boolValue: true }))).toBe(null);
    expect(binaryValue((writer) => writer.tag(2, WireType.Varint).bool(true))).toBe(null);
  });

  it("are times, and 0 is none", () => {
    const at = (times: object) => json("traces", span({ intValue: 1 }, times))[0]!.at;
    expect(at({ endTimeUnixNano: "1795253402250999999", startTimeUnixNano: "1" })).toBe(1_795_253_402_250);
    expect(at({ endTimeUnixNano: "0", startTimeUnixNano: 2_000_000 })).toBe(2);
    expect(at({ endTimeUnixNano: "18446744073709551615" })).toBe(18_446_744_073_709);
    expect(at({})).toBe(null);
  });
});

describe("what is no export", () => {
  it("is refused and never half read, whatever the bytes", () => {
    const one = new Uint8Array(tracesProtobuf);
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), fc.nat({ max: one.length - 1 }), (noise, place) => {
        const mixed = new Uint8Array([...one.subarray(0, place), ...noise, ...one.subarray(place)]);
        for (const bytes of [noise, mixed]) {
          try {
            binary("traces", bytes);
          } catch (error) {
            expect(error).toBeInstanceOf(Undecodable);
          }
        }
      }),
      { numRuns: 500 },
    );
  });

  it.each<[string, unknown]>([
    ["a list", []],
    ["text", "x"],
    ["a resource list that is none", { resourceSpans: {} }],
    ["a resource that is text", { resourceSpans: ["x"] }],
    ["spans that are numbers", { resourceSpans: [{ scopeSpans: [{ spans: [1] }] }] }],
    ["attributes that are an object", { resourceSpans: [{ scopeSpans: [{ spans: [{ attributes: {} }] }] }] }],
    ["a key that is a number", { resourceSpans: [{ resource: { attributes: [{ key: 1 }] } }] }],
    [
      "a whole number with a fraction",
      { resourceSpans: [{ resource: { attributes: [{ key: "user.id", value: { intValue: 1.5 } }] } }] },
    ],
    ["a time that is text", { resourceSpans: [{ scopeSpans: [{ spans: [{ endTimeUnixNano: "now" }] }] }] }],
    ["an id that is a number", { resourceSpans: [{ scopeSpans: [{ spans: [{ traceId: 1 }] }] }] }],
  ])("is refused: %s", (_, body) => {
    expect(() => json("traces", body)).toThrow(Undecodable);
  });

  it("steps over what it does not know", () => {
    expect(json("traces", {})).toEqual([]);
    expect(json("traces", { resourceLogs: [{}], resourceSpans: null })).toEqual([]);
    expect(binary("traces", new Uint8Array())).toEqual([]);
    const unknown = new BinaryWriter().tag(77, WireType.Varint).uint32(1).finish();
    expect(binary("traces", new Uint8Array([...unknown, ...new Uint8Array(tracesProtobuf)]))).toHaveLength(4);
  });
});
