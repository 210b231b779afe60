/** The store is brought up to an object's folds in as many goes as it takes, and believes them only at the end. */
import { env } from "cloudflare:workers";
import { describe, expect, it } from "vitest";
import type { UsageEvent } from "../core/event";
import { foldKeyOf, type Meter } from "../core/meter";
import { objectName } from "../core/object-name";
import type { Call, CustomerRpc } from "../durable-objects/rpc";
import { sha256 } from "../durable-objects/sha256";
import { applyRating } from "../store/apply-rating";
import { foldProgress } from "../store/fold-progress";
import { totalByMeter } from "../store/rollups";
import { foldObject } from "./fold-object";
import { startWorker } from "./harness";

const NAMESPACE = "01JFDDDDDDDDDDDDDDDDDDDDDD";
const MINUTES = 6_000;
const START = Math.floor(Date.now() / 3_600_000 - 24 * 10) * 3_600_000;
const sum: Meter = {
  id: "sum",
  key: "sum",
  eventType: "prompt",
  aggregation: "SUM",
  valueProperty: "$.n",
  groupBy: {},
  eventFrom: null,
  createdAt: 0,
};

describe("an object whose meter came after its events", () => {
  it("tells the store what it lacks in several goes, each going on where the last one ended, and then it is up to it", async () => {
    const name = "many-minutes";
    const object = objectName(NAMESPACE, name, sha256);
    const rpc = env.CUSTOMER.getByName(object) as unknown as CustomerRpc;
    const call: Call = { namespaceId: NAMESPACE, name, configVersion: 2 };
    const context = startWorker().context();
    const { store } = context;
    await rpc.configure(call, { version: 2, defaults: [], burnTables: [], meters: [] });
    const events = Array.from({ length: MINUTES }, (_, n): UsageEvent => ({
      id: `e${n}`,
      source: "test",
      type: "prompt",
      subject: "ada",
      time: START + n * 60_000,
      data: { n: 1 },
    }));
    await rpc.record(call, JSON.stringify(events), true);
    await applyRating(store, (await rpc.drain(call)).messages as Parameters<typeof applyRating>[1]);
    await rpc.configure({ ...call, configVersion: 3 }, { version: 3, defaults: [], burnTables: [], meters: [sum] });
    call.configVersion = 3;

    const go = () => foldObject(context, NAMESPACE, object, 1)(rpc, call, object);
    const progress = () => foldProgress(store, NAMESPACE, 3);
    const total = async () => {
      const totals = await totalByMeter(store, NAMESPACE, {
        meterKey: foldKeyOf(sum),
        resolution: "minute",
        from: START,
        to: START + MINUTES * 60_000,
      });
      return totals[0]?.count ?? 0;
    };
    const seen: number[] = [];
    for (let goes = 0; goes < 10; goes++) {
      const answer = await go();
      if (!answer.ok) throw new Error(answer.reason);
      seen.push(await total());
      expect(await progress()).toEqual({ done: answer.left === null ? 1 : 0, total: 1 });
      if (answer.left === null) break;
    }
    expect(seen.length).toBeGreaterThan(2);
    expect(seen).toEqual(seen.toSorted((a, b) => a - b));
    expect(seen.at(-1)).toBe(MINUTES);
    // Nothing is left, and nothing changes.
    expect(await go()).toEqual({ ok: true, left: null });
  });
});
