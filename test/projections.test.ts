/** From an event to the store's rollups, with everything that can go wrong on the way going wrong. */
import { createMessageBatch, evictDurableObject, runDurableObjectAlarm, runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { expect, it } from "vitest";
import { objectName } from "../core/object-name";
import { formatQuantity } from "../core/quantity";
import type { Customer } from "../durable-objects/customer";
import type { RatingMessage } from "../schema/messages";
import { findObject } from "../store/objects";
import { findNamespace } from "../store/namespaces";
import { totalByMeter } from "../store/rollups";
import { findWallet } from "../store/wallets";
import { SEED_TOKEN, someEvent, startWorker } from "../workers/harness";
import { PRINCIPAL_TTL_MS } from "../workers/cache";
import { consumers } from "../workers/queue";

const KEY = "tg_seeded-for-a-test";
const EVER = { from: 0, to: Number.MAX_SAFE_INTEGER };

it("the store ends with what the object counted, though totals were sent twice, never or late, and the object crashed in between", async () => {
  const worker = startWorker();
  await worker.call("POST", "/__local/seed", { key: SEED_TOKEN, body: { apiKey: KEY } });
  const { store, sha256 } = worker.context();
  const { id: namespaceId } = (await findNamespace(store, "default"))!;
  const rules = [{ dimension: "tokens", rate: "0.1", per: 1 }];
  await worker.call("POST", "/api/v1/burn-tables", { key: KEY, body: { key: "t", currency: "CREDITS", rules } });
  const object = objectName(namespaceId, "metered", sha256);
  const stub = env.CUSTOMER.getByName(object);

  const messages: RatingMessage[] = [];
  let queue: "works" | "refuses" | "takes it, but the object never hears of it" = "works";
  const RATING = {
    sendBatch: async (batch: { body: RatingMessage }[]) => {
      if (queue !== "refuses") messages.push(...batch.map(({ body }) => structuredClone(body)));
      if (queue !== "works") throw new Error(`the queue ${queue}`);
    },
  };
  const watched = () =>
    runInDurableObject(stub, (instance: Customer) => {
      Object.assign(instance, { env: { ...env, RATING } });
    });

  let sent = 0;
  const ingest = async (count: number) => {
    const events = Array.from({ length: count }, () =>
      someEvent({
        id: `e${sent++}`,
        type: "prompt",
        subject: "metered",
        time: new Date(1_900_000_000_000 + sent * 45_000).toISOString(),
        data: { tokens: 0.1, model: `m${sent % 3}`, usage: { tokens: 1 } },
      }),
    );
    expect((await worker.call("POST", "/api/v1/events", { key: KEY, body: events })).status).toBe(204);
  };

  const ship = async (into: typeof queue) => {
    queue = into;
    await runDurableObjectAlarm(stub);
  };
  const crash = async () => {
    await runInDurableObject(stub, (_instance: Customer, state) => state.storage.deleteAlarm());
    await evictDurableObject(stub);
    await watched();
  };

  await watched();
  await ingest(20);
  await ship("takes it, but the object never hears of it");
  await crash();
  await ingest(20);
  await ship("works");
  await ingest(10);
  await ship("refuses");
  await ingest(10);
  await ship("works");
  await ingest(10);
  // A new configuration makes a checkpoint of what is unsent still.
  await worker.call("POST", "/api/v1/burn-tables", { key: KEY, body: { key: "u", currency: "CREDITS", rules } });
  worker.advance(PRINCIPAL_TTL_MS);
  await ingest(4);
  await crash();
  await ingest(1);
  await ship("works");

  // All of them, then all of them again with the oldest last: a queue promises no order and no single delivery.
  expect(messages.length).toBeGreaterThan(3);
  const late = [...messages, ...messages.toReversed()].map((body, n) => ({ id: `m${n}`, body, attempts: 1 }));
  for (let from = 0; from < late.length; from += 2) {
    const batch = late.slice(from, from + 2).map((message) => ({ ...message, timestamp: new Date() }));
    await consumers.rating!(createMessageBatch("rating", batch), worker.context());
  }

  for (const resolution of ["minute", "quarter"] as const) {
    const totals = await totalByMeter(store, namespaceId, { resolution, ...EVER });
    expect(totals.map(({ count, sum }) => [count, formatQuantity(sum)])).toEqual([[75, "7.5"]]);
  }
  const wallet = (
    await worker.call<{ customerId: string; balance: string }>("GET", "/api/v1/wallets/metered", { key: KEY })
  ).body;
  expect(wallet.balance).toBe("-7.5");
  expect(await findObject(store, namespaceId, object)).toMatchObject({ eventCount: 75 });
  expect(await findWallet(store, namespaceId, wallet.customerId)).toMatchObject({ balance: "-7.5" });
});
