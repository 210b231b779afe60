/** Shipping in tests: what objects send to the archive's queue is kept here until a test delivers it, as often as it likes. Only tests import this. */
import {
  createExecutionContext,
  createMessageBatch,
  evictDurableObject,
  getQueueResult,
  runDurableObjectAlarm,
  runInDurableObject,
} from "cloudflare:test";
import { env } from "cloudflare:workers";
import { objectName } from "../../core/object-name";
import type { Customer } from "../../durable-objects/customer";
import { sha256 } from "../../durable-objects/sha256";
import type { Tenant, Worker } from "../harness";
import { consumers } from "../queue";
import { DAY_MS } from "./file";

export interface Sent {
  id: string;
  body: ArrayBuffer | object;
  attempts?: number;
}

let nth = 0;
/** By object: what it sent and nobody took yet. */
const waiting = new Map<string, Sent[]>();

export const subjectObject = ({ id }: Tenant, subject: string): string => objectName(id, subject, sha256);

/** From now on the object sends to us. Its instance forgets what it knew: when it sent last, too. */
export async function watch(object: string): Promise<DurableObjectStub> {
  const stub = env.CUSTOMER.getByName(object);
  const sent = waiting.get(object) ?? [];
  waiting.set(object, sent);
  const ARCHIVING = {
    send(body: Uint8Array) {
      sent.push({ id: `a${nth++}`, body: body.slice().buffer });
      return Promise.resolve();
    },
  };
  // Only what runs can be evicted.
  await runInDurableObject(stub, () => undefined);
  await evictDurableObject(stub);
  await runInDurableObject(stub, (instance: Customer) => {
    Object.assign(instance, { env: { ...env, ARCHIVING } });
  });
  return stub;
}

/** What the object sends with its next alarm, and has sent since it is watched. */
export async function ship(object: string): Promise<Sent[]> {
  const stub = await watch(object);
  await runInDurableObject(stub, (_, { storage }) => storage.setAlarm(Date.now() + DAY_MS));
  await runDurableObjectAlarm(stub);
  return waiting.get(object)!.splice(0);
}

/** What the consumer did with each message. */
export async function deliver(worker: Worker, messages: readonly Sent[]) {
  const batch = createMessageBatch(
    "archive",
    messages.map(({ id, body, attempts = 1 }) => ({ id, body, attempts, timestamp: new Date(1_800_000_000_000) })),
  );
  await consumers.archive!(batch, worker.context());
  const result = await getQueueResult(batch, createExecutionContext());
  return { acked: result.explicitAcks.toSorted(), retried: result.retryMessages.map(({ msgId }) => msgId).toSorted() };
}

/** The same message under another id, as a queue delivers it that lost an acknowledgement. */
export const copyOf = ({ body }: Sent): Sent => ({ id: `a${nth++}`, body });

export async function keysBelow(prefix: string): Promise<string[]> {
  const keys: string[] = [];
  let cursor: string | undefined;
  do {
    const page = await env.ARCHIVE.list({ prefix, cursor });
    keys.push(...page.objects.map(({ key }) => key));
    cursor = page.truncated ? page.cursor : undefined;
  } while (cursor !== undefined);
  return keys;
}
