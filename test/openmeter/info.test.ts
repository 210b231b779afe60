/** `info` and `debug`. */
import { expect, it } from "vitest";
import { event, eventually, newTenant, refusal } from "./harness";

const { om, last } = await newTenant();

it("lists the currencies of ISO 4217 with symbol and places, and none of our own", async () => {
  const currencies = (await om.info.listCurrencies())!;
  expect(Array.isArray(currencies)).toBe(true);
  const byCode = new Map(currencies.map((each) => [each.code, each]));
  expect(byCode.size).toBe(currencies.length);
  expect(byCode.size).toBeGreaterThan(140);
  expect(byCode.get("USD")).toMatchObject({ name: expect.stringMatching(/dollar/i), symbol: "$", subunits: 2 });
  expect(byCode.get("EUR")).toMatchObject({ symbol: "€", subunits: 2 });
  expect(byCode.get("JPY")).toMatchObject({ subunits: 0 });
  expect(byCode.get("BHD")).toMatchObject({ subunits: 3 });
});

it("the progress of nothing is 404", async () => {
  expect(await refusal(om.info.getProgress("nothing"))).toMatchObject({ status: 404, title: "Not Found" });
});

it("counts today's events of each subject as OpenMetrics text", async () => {
  await om.events.ingest([
    event("a", 'the "first"', new Date()),
    event("b", 'the "first"', new Date()),
    event("a", "second", new Date()),
  ]);
  // The client reads JSON unless it is told not to, and its types do not know that it can be told.
  const asText = { parseAs: "text" } as object;
  await eventually(async () => {
    const text = await om.debug.getMetrics(asText);
    expect(text).toMatch(/^openmeter_events_total\{subject="the \\"first\\""\} 2(\.0)?$/m);
    expect(text).toMatch(/^openmeter_events_total\{subject="second"\} 1(\.0)?$/m);
  });
  expect(last().headers.get("content-type")).toMatch(/^text\/plain/);
});
