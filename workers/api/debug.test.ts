/** What a monitor scrapes, and the list of currencies. */
import { describe, expect, it } from "vitest";
import { newTenant, someEvent, startWorker, type Tenant } from "../harness";

const worker = startWorker();
const send = (tenant: Tenant, subjects: string[], of: Record<string, unknown> = {}) =>
  worker.call("POST", "/api/v1/events", {
    key: tenant.apiKey,
    body: subjects.map((subject) => someEvent({ subject, type: "of no meter", ...of })),
  });
/** A control-plane write tells the store what its object counted; without one the alarm does. */
const tell = (tenant: Tenant, customer: string) =>
  worker.call("PATCH", `/api/v1/wallets/${encodeURIComponent(customer)}`, {
    key: tenant.apiKey,
    body: { overdraftLimit: 1 },
  });
const scrape = async ({ apiKey }: Tenant) => {
  const { status, headers, body } = await worker.call<string>("GET", "/api/v1/debug/metrics", { key: apiKey });
  expect([status, headers.get("content-type")]).toEqual([200, "text/plain"]);
  return body;
};

describe("the metrics", () => {
  it("count the events accepted today, of every type, each once, by subject", async () => {
    const tenant = await newTenant(worker);
    expect(await scrape(tenant)).toBe(
      "# HELP openmeter_events Number of ingested events\n# TYPE openmeter_events counter\n# EOF\n",
    );
    const hostile = 'a"b\\c\nd';
    const fixed = { id: "once", time: "2020-01-01T00:00:00Z" };
    expect((await send(tenant, ["customer-1", "customer-1", hostile])).status).toBe(204);
    for (let n = 0; n < 2; n++) await send(tenant, ["customer-1"], fixed);
    for (const customer of ["customer-1", hostile]) expect((await tell(tenant, customer)).status).toBe(200);
    const lines = (await scrape(tenant)).split("\n");
    expect(lines).toContain('openmeter_events_total{subject="customer-1"} 3');
    expect(lines).toContain('openmeter_events_total{subject="a\\"b\\\\c\\nd"} 1');
    expect(lines.filter((line) => line.startsWith("openmeter_events_total"))).toHaveLength(2);
    expect(await scrape(await newTenant(worker))).not.toContain("customer-1");
  });

  it("begin anew at midnight", async () => {
    const tenant = await newTenant(worker, "sandbox");
    const set = (now: string) => worker.call("PUT", "/api/v1/clock", { key: tenant.apiKey, body: { now } });
    await set("2030-01-01T23:59:59Z");
    await send(tenant, ["s", "s"]);
    await tell(tenant, "s");
    expect(await scrape(tenant)).toContain('{subject="s"} 2\n');
    await set("2030-01-02T00:00:00Z");
    expect(await scrape(tenant)).not.toContain("subject");
    await send(tenant, ["s"]);
    await tell(tenant, "s");
    expect(await scrape(tenant)).toContain('{subject="s"} 1\n');
  });
});

describe("the currencies", () => {
  it("are a bare array in workerd too", async () => {
    const { apiKey } = await newTenant(worker);
    const { status, body } = await worker.call<object[]>("GET", "/api/v1/info/currencies", { key: apiKey });
    expect(status).toBe(200);
    expect(body).toContainEqual({ code: "USD", name: "US Dollar", symbol: "$", subunits: 2 });
    expect(body).toContainEqual({ code: "JPY", name: "Japanese Yen", symbol: "¥", subunits: 0 });
  });
});
