/**
 * What the shared store should know of a customer, as running totals under a version (epoch, seq): never deltas, so a message
 * that comes twice, late or in pieces changes nothing. Knows the sizes a queue takes; what is unsent is the object's business.
 */
import type { Account } from "../core/account";
import { storeToday } from "../core/today";
import { walletView } from "../core/views";
import {
  MESSAGE_BYTES_MAX,
  messageBytes,
  SEND_BATCH_BYTES_MAX,
  SEND_BATCH_MESSAGES_MAX,
  type RatingMessage,
  type Rollup,
} from "../schema/messages";

/** The account and these rollups as messages, each small enough for the queue. An account that never wrote has none. */
export function ratingMessages(
  account: Account,
  rollups: readonly Rollup[],
  sentAt: number,
  foldedVersion: number,
): RatingMessage[] {
  const { identity } = account;
  if (!identity) return [];
  const { balance, held, currency, status, unrated } = walletView(account, "");
  const closed = account.merge?.done ?? false;
  const message: RatingMessage = {
    v: 1,
    namespaceId: identity.namespaceId,
    object: identity.object,
    epoch: identity.epoch,
    seq: account.seq,
    sentAt,
    customer: {
      id: identity.customerId,
      key: identity.key,
      name: null,
      home: identity.object,
      createdAt: identity.createdAt,
    },
    wallet: { balance, held, currency, status, unrated },
    rollups: [],
    eventCount: closed ? 0 : account.events,
    ...(account.today.day > 0 && { today: storeToday(account.today) }),
    declared: account.declared,
    ...(closed && { closed }),
    foldedVersion,
  };
  const room = MESSAGE_BYTES_MAX - messageBytes(message);
  return portions(rollups, room).map((portion) => ({ ...message, rollups: portion }));
}

/** Cuts rows into portions of at most `bytes`; one portion, empty, when there are none. */
function portions(rows: readonly Rollup[], bytes: number): Rollup[][] {
  const cut: Rollup[][] = [[]];
  let left = bytes;
  for (const row of rows) {
    // The comma between two rows counts too.
    const size = messageBytes(row) + 1;
    if (size > left && cut.at(-1)!.length > 0) {
      cut.push([]);
      left = bytes;
    }
    cut.at(-1)!.push(row);
    left -= size;
  }
  return cut;
}

/** Sends in batches that the queue takes. All of it may be sent again: the consumer does not mind. */
export async function sendMessages(queue: Queue<RatingMessage>, messages: readonly RatingMessage[]): Promise<void> {
  let batch: { body: RatingMessage }[] = [];
  let bytes = 0;
  for (const body of messages) {
    const size = messageBytes(body);
    if (batch.length === SEND_BATCH_MESSAGES_MAX || (batch.length > 0 && bytes + size > SEND_BATCH_BYTES_MAX)) {
      await queue.sendBatch(batch);
      batch = [];
      bytes = 0;
    }
    batch.push({ body });
    bytes += size;
  }
  if (batch.length > 0) await queue.sendBatch(batch);
}
