import { expect, it } from "vitest";
import { applyRating } from "../../store/apply-rating";
import { newTenant, startWorker } from "../harness";

it("names the customers past 80 % of what one object may hold, the fullest first, and no other tenant's", async () => {
  const worker = startWorker();
  const [ours, theirs] = [await newTenant(worker), await newTenant(worker)];
  const full = (namespaceId: string, key: string, eventCount: number) => ({
    v: 1 as const,
    namespaceId,
    object: `${namespaceId}/${key}`,
    epoch: "01JD8ZQ6M5T9W3XK2V7B4C1N0R",
    seq: 1,
    sentAt: 1,
    customer: { id: `id-${key}`, key, name: null, home: `${namespaceId}/${key}`, createdAt: 1 },
    rollups: [],
    eventCount,
  });
  await applyRating(worker.context().store, [
    full(ours.id, "half", 10_000_000),
    full(ours.id, "near", 16_500_000),
    full(ours.id, "nearer", 19_000_000),
    full(theirs.id, "foreign", 19_500_000),
  ]);
  const { body } = await worker.call("GET", "/api/v1/status", { key: ours.apiKey });
  expect(body).toMatchObject({
    customers: 3,
    events: 45_500_000,
    nearBound: [
      { customer: "nearer", events: 19_000_000, eventsMax: 20_000_000 },
      { customer: "near", events: 16_500_000, eventsMax: 20_000_000 },
    ],
  });
});

it("asks the customers that the store heard of last how long their totals wait", async () => {
  const worker = startWorker();
  const { apiKey: key } = await newTenant(worker);
  expect((await worker.call("GET", "/api/v1/status", { key })).body).toMatchObject({
    outbox: { checked: 0, oldestSeconds: null },
  });
  await worker.call("POST", "/api/v1/wallets/user/grants", { key, body: { amount: 1, kind: "paid" } });
  const { outbox } = (await worker.call("GET", "/api/v1/status", { key })).body as { outbox: { checked: number } };
  expect(outbox.checked).toBe(1);
});

it("says when this isolate works with an older configuration than the newest, and stops saying so within 30 s", async () => {
  const worker = startWorker();
  const elsewhere = startWorker();
  const { apiKey: key } = await newTenant(worker);
  const status = async () => (await worker.call("GET", "/api/v1/status", { key })).body;
  expect(await status()).toMatchObject({ configVersion: 0, staleConfiguration: false });
  await elsewhere.call("POST", "/api/v1/burn-tables", { key, body: { key: "t", currency: "CREDITS", rules: [] } });
  expect(await status()).toMatchObject({ configVersion: 1, staleConfiguration: true });
  worker.advance(30_000);
  expect(await status()).toMatchObject({ configVersion: 1, staleConfiguration: false });
});
