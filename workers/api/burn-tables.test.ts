import { describe, expect, it } from "vitest";
import { newTenant, startWorker } from "../harness";

const rules = (rate: string) => [{ dimension: "tokens", rate, per: 1 }];
const minute = 60_000;

describe("the default table", () => {
  it("of a live namespace changes 60 s ahead, and a late event is priced by the default of its own time", async () => {
    const worker = startWorker();
    const { apiKey: key } = await newTenant(worker, "live");
    const make = (table: Record<string, unknown>) =>
      worker.call("POST", "/api/v1/burn-tables", { key, body: { currency: "CREDITS", ...table } });
    const quote = async (time?: number) => {
      const body = {
        feature: "chat",
        usage: { tokens: 1 },
        ...(time !== undefined && { time: new Date(time).toISOString() }),
      };
      return ((await worker.call("POST", "/api/v1/quote", { key, body })).body as { amount?: string }).amount;
    };
    const start = worker.now();
    expect(
      (await make({ key: "old", effectiveFrom: new Date(start - minute).toISOString(), rules: rules("1") })).status,
    ).toBe(201);
    expect(
      (
        await make({
          key: "new",
          effectiveFrom: new Date(start - minute).toISOString(),
          default: true,
          rules: rules("2"),
        })
      ).status,
    ).toBe(201);
    worker.advance(30_000);
    expect(await quote()).toBe("1");
    worker.advance(31_000);
    expect(await quote()).toBe("2");
    expect(await quote(start)).toBe("1");
  });

  it("is the first one made, unless that says it is not", async () => {
    const worker = startWorker();
    const { apiKey: key } = await newTenant(worker);
    const make = async (name: string, more = {}) =>
      (
        await worker.call("POST", "/api/v1/burn-tables", {
          key,
          body: { key: name, currency: "CREDITS", rules: [], ...more },
        })
      ).body;
    expect(await make("first", { default: false })).toMatchObject({ default: false });
    expect(await make("second")).toMatchObject({ default: true });
    expect(await make("third")).toMatchObject({ default: false });
  });
});

it("a burn table keeps its currency through all versions", async () => {
  const worker = startWorker();
  const { apiKey: key } = await newTenant(worker);
  const make = (currency: string) =>
    worker.call("POST", "/api/v1/burn-tables", { key, body: { key: "t", currency, rules: [] } });
  expect((await make("USD")).status).toBe(201);
  expect(await make("EUR")).toMatchObject({ status: 400, body: { validationErrors: [{ field: "currency" }] } });
});
