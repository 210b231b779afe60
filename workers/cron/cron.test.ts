import { describe, expect, it } from "vitest";
import { applyRating } from "../../store/apply-rating";
import { insertMeter } from "../../store/meters";
import { MINUTE_RETENTION_MS } from "../../store/rollups";
import { commit } from "../../store/store";
import { newTenant, startWorker } from "../harness";
import { jobs } from "./index";

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;

describe("every minute", () => {
  const worker = startWorker();
  const run = (scheduledMs: number) => jobs["* * * * *"]!(worker.context(), scheduledMs);
  const count = async (table: string, namespaceId: string) =>
    worker
      .context()
      .env.DB.prepare(`select count(*) as n from ${table} where namespace_id = ?`)
      .bind(namespaceId)
      .first("n");

  it("forgets the answers of Idempotency-Keys that are a day old", async () => {
    const { id, apiKey: key } = await newTenant(worker);
    const post = (idempotencyKey: string) =>
      worker.call("POST", "/api/v1/api-keys", {
        key,
        body: { name: "k", scopes: ["read"] },
        headers: { "idempotency-key": idempotencyKey },
      });
    await post("old");
    worker.advance(DAY_MS + 1);
    await post("new");
    await run(HOUR_MS * 7 + 60_000);
    expect(await count("idempotency", id)).toBe(1);
  });

  it("drops minute rollups past their age, once an hour, and keeps quarter hours", async () => {
    const { id } = await newTenant(worker);
    // Only meters that exist are looked for.
    const { store } = worker.context();
    const meter = {
      id: "m1",
      key: "tokens",
      eventType: "prompt",
      aggregation: "SUM",
      valueProperty: "$.tokens",
      groupBy: {},
    };
    const unnamed = { eventFrom: null, name: null, description: null, metadata: null };
    const dated = { configVersion: 1, createdAt: 1, updatedAt: 1 };
    await commit(store, [insertMeter(store, id, { ...meter, ...unnamed, ...dated })]);
    const at = Math.floor((worker.now() - MINUTE_RETENTION_MS) / (15 * 60_000)) * 15 * 60_000 - HOUR_MS;
    const rollup = {
      meter: "tokens",
      windowStart: at,
      group: "[]",
      count: 1,
      sum: "1",
      min: "1",
      max: "1",
      latest: "1",
      latestAt: at,
    };
    await applyRating(store, [
      {
        v: 1,
        namespaceId: id,
        object: `${id}/u`,
        epoch: "01JD8ZQ6M5T9W3XK2V7B4C1N0R",
        seq: 1,
        sentAt: 1,
        customer: { id: "c", key: "u", name: null, home: `${id}/u`, createdAt: 1 },
        rollups: [
          { ...rollup, resolution: "minute" },
          { ...rollup, resolution: "quarter" },
        ],
        eventCount: 1,
      },
    ]);
    await run(HOUR_MS * 7 + 60_000);
    expect(await count("rollups", id)).toBe(2);
    await run(HOUR_MS * 7);
    expect(await count("rollups", id)).toBe(1);
  });

  it("forgets portal tokens a month after they ended, once an hour", async () => {
    const { id, apiKey: key } = await newTenant(worker);
    const make = (expiresAt: number) =>
      worker.call("POST", "/api/v1/portal/tokens", {
        key,
        body: { subject: "s", expiresAt: new Date(expiresAt).toISOString() },
      });
    expect((await make(worker.now() + HOUR_MS)).status).toBe(200);
    await make(worker.now() + 60 * DAY_MS);
    worker.advance(31 * DAY_MS);
    await run(HOUR_MS * 7);
    expect(await count("portal_tokens", id)).toBe(2);
    worker.advance(2 * HOUR_MS);
    await run(HOUR_MS * 7 + 60_000);
    expect(await count("portal_tokens", id)).toBe(2);
    await run(HOUR_MS * 7);
    expect(await count("portal_tokens", id)).toBe(1);
  });
});
