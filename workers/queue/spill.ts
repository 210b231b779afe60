/**
 * The spill queue: declared overflow of the direct road. A message is one call of the object that the edge could not make; the
 * consumer makes it, and the object's own keys make redelivered, reordered and split messages count once. Off in local mode,
 * whose queue is an array in memory: what it acknowledged would not survive a crash.
 */
import {
  MESSAGE_BYTES_MAX,
  messageBytes,
  SEND_BATCH_BYTES_MAX,
  SEND_BATCH_MESSAGES_MAX,
  spillMessage,
  type SpillMessage,
} from "../../schema/messages";
import { recordDeadLetters } from "../../store/dead-letters";
import { findNamespace, type Namespace } from "../../store/namespaces";
import { atOnce } from "../at-once";
import { arrayOf, slicesOf } from "../api/event-parts";
import { refusalProblem } from "../api/problem";
import type { Part } from "../api/read-events";
import { causeOf, type Context } from "../context";
import { askCustomer, type Tenant } from "../customers";
import { deadLetter, retryDelaySeconds } from "./dead-letter";

export const canSpill = ({ env }: Pick<Context, "env">): boolean => env.TOLLGATE_LOCAL !== "1";

/** With delays of up to an hour, about a day; below the 100 after which the platform gives up without a reason. */
export const SPILL_ATTEMPTS_MAX = 32;
/** Messages applied at the same time. */
const OBJECTS_AT_ONCE = 16;

/** What the queue can carry of these parts, as messages, and what it cannot: events past the size of a message. */
export function spillable(
  context: Context,
  { namespaceId, configVersion }: Tenant,
  parts: readonly Part[],
): { messages: SpillMessage[]; left: Part[] } {
  const messages: SpillMessage[] = [];
  const left: Part[] = [];
  const receivedAt = context.now();
  for (const { subject, events } of parts) {
    const message = (texts: readonly string[]): SpillMessage => ({
      v: 1,
      namespaceId,
      name: subject,
      configVersion,
      eventsJson: arrayOf(texts),
      receivedAt,
    });
    const roomBytes = MESSAGE_BYTES_MAX - messageBytes(message([]));
    // Inside a message the events are one JSON string: escaped. The quotes around it pay for the comma between two.
    const sizeOf = (text: string) => Buffer.byteLength(JSON.stringify(text));
    const fits = (text: string) => sizeOf(text) <= roomBytes;
    const texts = events.map((event) => JSON.stringify(event));
    for (const slice of slicesOf(texts.filter(fits), sizeOf, roomBytes)) messages.push(message(slice));
    const tooLarge = events.filter((_, index) => !fits(texts[index]!));
    if (tooLarge.length > 0) left.push({ subject, events: tooLarge });
  }
  return { messages, left };
}

/** Durable in the queue when it returns. Sending some of it twice, after a failure, is harmless. */
export async function spill({ env }: Context, messages: readonly SpillMessage[]): Promise<void> {
  let batch: SpillMessage[] = [];
  let bytes = 0;
  const send = async () => {
    if (batch.length > 0) await env.SPILL.sendBatch(batch.map((body) => ({ body, contentType: "json" as const })));
    batch = [];
    bytes = 0;
  };
  for (const message of messages) {
    const size = messageBytes(message);
    if (batch.length === SEND_BATCH_MESSAGES_MAX || bytes + size > SEND_BATCH_BYTES_MAX) await send();
    batch.push(message);
    bytes += size;
  }
  await send();
}

/** Each message is acknowledged or retried by itself: one that cannot be applied holds up no other. */
export async function consumeSpill(batch: MessageBatch, context: Context): Promise<void> {
  const namespaces = new Map<string, Promise<Namespace | null>>();
  const namespaceOf = (id: string) => {
    const known = namespaces.get(id) ?? findNamespace(context.store, id);
    namespaces.set(id, known);
    return known;
  };
  await atOnce(batch.messages, OBJECTS_AT_ONCE, (message) => consume(message, context, namespaceOf));
}

async function consume(
  message: Message,
  context: Context,
  namespaceOf: (id: string) => Promise<Namespace | null>,
): Promise<void> {
  try {
    const parsed = spillMessage.safeParse(message.body);
    const reason = parsed.success
      ? await apply(context, parsed.data, namespaceOf)
      : `not a spill message: ${parsed.error.message}`;
    if (reason !== null) await recordDeadLetters(context.store, [deadLetter(context, "spill", message, reason)]);
    message.ack();
  } catch (error) {
    await giveUpOrRetry(context, message, error);
  }
}

async function giveUpOrRetry(context: Context, message: Message, error: unknown): Promise<void> {
  if (message.attempts >= SPILL_ATTEMPTS_MAX) {
    try {
      const reason = `gave up after ${message.attempts} attempts: ${error instanceof Error ? error.message : String(error)}`;
      await recordDeadLetters(context.store, [deadLetter(context, "spill", message, reason)]);
      message.ack();
      return;
    } catch (cause) {
      context.report("a dead letter could not be recorded", { cause: causeOf(cause) });
    }
  }
  message.retry({ delaySeconds: retryDelaySeconds(message.attempts) });
}

/** Applies one message; null, or why it never can be. A throw says: try again later. */
export async function apply(
  context: Context,
  { namespaceId, name, eventsJson }: SpillMessage,
  namespaceOf = (id: string) => findNamespace(context.store, id),
): Promise<string | null> {
  const namespace = await namespaceOf(namespaceId);
  if (namespace === null) return "its namespace does not exist";
  // A closed namespace's events were accepted before it closed.
  const tenant: Tenant = { namespaceId, kind: namespace.kind, configVersion: namespace.configVersion };
  const answer = await askCustomer(context, tenant, name, (object, call) => object.record(call, eventsJson, false));
  return answer.ok ? null : refusalProblem(answer).message;
}
