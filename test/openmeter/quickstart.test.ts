/** OpenMeter's quickstart as a stranger runs it against us: what docs/from-openmeter.md says to paste, the program, its test. */
import { execFile } from "node:child_process";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { expect, inject, it } from "vitest";
import { event, eventually, tenantOf } from "./harness";

const ROOT = join(import.meta.dirname, "..", "..");
const URL_IN_DOCS = "http://localhost:8787";
const url = inject("tollgateUrl");
const { om, send } = tenantOf(url, "tg_local");

interface Curl {
  url: string;
  method: string;
  headers: Record<string, string>;
  body?: string;
}

/** The curl calls of a document, in their order. */
function curlsIn(markdown: string): Curl[] {
  const commands = markdown.replaceAll("\\\n", " ").match(/^curl .*$/gm) ?? [];
  return commands.map((command) => {
    const words = [...command.matchAll(/'([^']*)'|(\S+)/g)].map(([, quoted, word]) => quoted ?? word!);
    const after = (flag: string) => words.flatMap((word, index) => (word === flag ? [words[index + 1]!] : []));
    const body = after("--data-raw")[0];
    return {
      url: words.find((word) => word.startsWith("http"))!,
      method: after("-X")[0] ?? "GET",
      headers: Object.fromEntries(after("-H").map((header) => header.split(": ") as [string, string])),
      ...(body !== undefined && { body }),
    };
  });
}

it("the curl calls print 204 and a value of 1, without waiting", async () => {
  const calls = curlsIn(await readFile(join(ROOT, "docs", "from-openmeter.md"), "utf8"));
  const [ingested, counted, grouped] = await calls.reduce<Promise<Response[]>>(async (before, call) => {
    const answers = await before;
    const { url: address, method, headers, body } = call;
    const init = { method, headers, ...(body !== undefined && { body }) };
    return [...answers, await send(address.slice(URL_IN_DOCS.length), init)];
  }, Promise.resolve([]));
  expect(ingested!.status).toBe(204);
  expect(await counted!.text()).toContain('"value":1');
  expect(grouped!.status).toBe(200);
  await eventually(async () => {
    const answer = await send(calls[2]!.url.slice(URL_IN_DOCS.length));
    const { data } = (await answer.json()) as { data: { groupBy: unknown }[] };
    expect(data.map(({ groupBy }) => groupBy)).toContainEqual({ method: "GET", route: "/hello" });
  });
});

it("the typed program prints 1, and 1 again", async () => {
  const env = { ...process.env, TOLLGATE_URL: url, NODE_OPTIONS: "" };
  for (const _ of ["first", "second"]) {
    const program = join(ROOT, "examples", "openmeter-quickstart.ts");
    const { stdout } = await promisify(execFile)(process.execPath, [program], { env });
    expect(stdout).toBe("1\n");
  }
});

it("the quickstart's meters are those of its configuration", async () => {
  expect(await om.meters.list()).toEqual(
    expect.arrayContaining([
      expect.objectContaining({
        slug: "api_requests_total",
        eventType: "request",
        aggregation: "COUNT",
        groupBy: { method: "$.method", route: "$.route" },
      }),
      expect.objectContaining({
        slug: "api_requests_duration",
        eventType: "request",
        aggregation: "SUM",
        valueProperty: "$.duration_ms",
        groupBy: { method: "$.method", route: "$.route" },
      }),
      expect.objectContaining({
        slug: "tokens_total",
        eventType: "prompt",
        aggregation: "SUM",
        valueProperty: "$.tokens",
        groupBy: { model: "$.model", type: "$.type" },
      }),
    ]),
  );
});

it("the quickstart's own test: three events in two hours are [2, 1] by the hour", async () => {
  const subject = "quickstart-test";
  const request = (time: string) =>
    event("request", subject, time, { method: "GET", route: "/hello", duration_ms: "10" });
  await om.events.ingest([
    request("2023-01-01T00:00:00.001Z"),
    request("2023-01-01T00:00:00.001Z"),
    request("2023-01-02T00:00:00.001Z"),
  ]);
  const hourly = { windowSize: "HOUR", from: new Date("2023-01-01"), to: new Date("2023-01-03") } as const;
  const values = async (slug: string, query: object) =>
    (await om.meters.query(slug, { ...hourly, ...query })).data.map(({ value }) => value);
  expect(await values("api_requests_total", { subject: [subject] })).toEqual([2, 1]);
  expect(await values("api_requests_duration", { subject: [subject] })).toEqual([20, 10]);
  await eventually(async () => {
    expect(await values("api_requests_total", {})).toEqual([2, 1]);
    expect(await values("api_requests_duration", {})).toEqual([20, 10]);
  });
});
