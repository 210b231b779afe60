/** The hourly purge: it keeps up with what the hours bring, in bounded runs. */
import { describe, expect, it } from "vitest";
import { applyRating } from "../../store/apply-rating";
import { MINUTE_RETENTION_MS } from "../../store/rollups";
import { newNamespace, rating, rollup } from "../../store/suite/builders";
import type { Context } from "../context";
import { startWorker } from "../harness";
import { jobs, purgeRollups } from ".";

/** More than one statement deletes. */
const BACKLOG = 6_000;
const HOUR_START_MS = Date.UTC(2026, 10, 21, 9);
const MINUTE_MS = 60_000;

/** A namespace with one customer whose minutes are past their retention, but for the last one. */
async function namespaceWith({ store, now }: Context, expired: number): Promise<string> {
  const namespaceId = await newNamespace(store);
  const edge = now() - MINUTE_RETENTION_MS;
  const rollups = Array.from({ length: expired }, (_, n) => rollup({ windowStart: edge - (n + 1) * MINUTE_MS }));
  await applyRating(store, [rating({ namespaceId, rollups: [...rollups, rollup({ windowStart: now() })] })]);
  return namespaceId;
}

async function minutesOf({ store }: Context, namespaceId: string): Promise<number> {
  const { rollups } = store.tables;
  const rows = await store.db.select({ namespaceId: rollups.namespaceId }).from(rollups);
  return rows.filter((row) => row.namespaceId === namespaceId).length;
}

describe("the hourly purge", () => {
  it("deletes every minute past its retention, more than one statement takes, and no other", async () => {
    const context = startWorker({ startMs: HOUR_START_MS }).context();
    const large = await namespaceWith(context, BACKLOG);
    const small = await namespaceWith(context, 3);
    await jobs["* * * * *"]!(context, HOUR_START_MS);
    expect([await minutesOf(context, large), await minutesOf(context, small)]).toEqual([1, 1]);
  });

  it("stops at a run's bound, and the backlog of one namespace does not keep the next from its turn", async () => {
    const context = startWorker({ startMs: HOUR_START_MS }).context();
    const small = await namespaceWith(context, 3);
    const large = await namespaceWith(context, BACKLOG);
    await purgeRollups(context, BACKLOG - 500);
    expect([await minutesOf(context, large), await minutesOf(context, small)]).toEqual([1 + 503, 1]);
    await purgeRollups(context, BACKLOG - 500);
    expect(await minutesOf(context, large)).toBe(1);
  });
});
