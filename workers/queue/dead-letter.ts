/** A message that is given up: recorded once with its reason, however often the queue delivers it. */
import { encodeTime } from "ulid";
import { base32 } from "../../core/journal";
import { decodeArchiveMessage, type BytesRecord } from "../../schema/messages";
import type { Context } from "../context";
import type { NewDeadLetter } from "../../store/dead-letters";

export type QueueName = "rating" | "spill" | "archive" | "dead";

export function deadLetter(context: Context, queue: string, message: Message, reason: string): NewDeadLetter {
  const body = storable(message.body) as { namespaceId?: unknown } | null | undefined;
  return {
    id: letterId(context, message),
    namespaceId: typeof body?.namespaceId === "string" ? body.namespaceId : null,
    queue,
    body: JSON.stringify(body) ?? "null",
    reason,
    attempts: message.attempts,
    createdAt: context.now(),
  };
}

/** A message of bytes as JSON can carry it. */
function storable(body: unknown): unknown {
  if (!(body instanceof ArrayBuffer)) return body;
  return { v: 1, namespaceId: namespaceOf(body), base64: Buffer.from(body).toString("base64") } satisfies BytesRecord;
}

function namespaceOf(body: ArrayBuffer): string | null {
  try {
    return decodeArchiveMessage(body).header.namespaceId;
  } catch {
    return null;
  }
}

/** A ULID of the message's own time and id: the second delivery is the first. */
function letterId(context: Context, { id, timestamp }: Message): string {
  const hash = context.sha256(id);
  const bits40 = (from: number) => base32(Number.parseInt(hash.slice(from, from + 10), 16), 8);
  return encodeTime(timestamp.getTime(), 10) + bits40(0) + bits40(10);
}

/** 10 s, then twice as long each time, up to an hour. */
const RETRY_DELAY_SECONDS_MAX = 3_600;
export const retryDelaySeconds = (attempts: number): number =>
  Math.min(10 * 2 ** Math.max(0, attempts - 1), RETRY_DELAY_SECONDS_MAX);
