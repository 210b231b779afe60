/** Dead letters of a namespace: listed with their reason, applied again on request. */
import { formatInstant } from "../../../core/instant";
import { deadLetters } from "../../../schema/contract/dead-letters";
import { bytesRecord, decodeArchiveMessage, ratingMessage, spillMessage } from "../../../schema/messages";
import { applyRating } from "../../../store/apply-rating";
import { findDeadLetter, listDeadLetters, markReplayed, type DeadLetter } from "../../../store/dead-letters";
import { causeOf, type Context } from "../../context";
import { fileNow } from "../../queue/archive";
import * as spill from "../../queue/spill";
import { implement } from "../app";
import { listReply, pageRequest } from "../page";
import { notFound, Problem } from "../problem";

const view = ({ id, queue, reason, createdAt, replayedAt, body }: DeadLetter) => ({
  id,
  queue,
  reason,
  createdAt: formatInstant(createdAt),
  replayedAt: replayedAt === null ? null : formatInstant(replayedAt),
  message: JSON.parse(body) as unknown,
});

export const deadLetterRoutes = implement<typeof deadLetters>(deadLetters, {
  async list({ context, principal, query }) {
    return listReply(await listDeadLetters(context.store, principal.namespaceId, pageRequest(query)), view);
  },

  async replay({ context, principal, params }) {
    const letter = await findDeadLetter(context.store, principal.namespaceId, params.id);
    if (letter === null) throw notFound("this dead letter");
    const reason = await applyAgain(context, JSON.parse(letter.body));
    if (reason !== null) throw new Problem(422, `the message still cannot be applied: ${reason}`);
    const at = context.now();
    await markReplayed(context.store, principal.namespaceId, letter.id, at);
    return { status: 200, body: view({ ...letter, replayedAt: letter.replayedAt ?? at }) };
  },
});

/** What the message's own consumer would do: its shape says which. Null, or why it cannot be applied. */
async function applyAgain(context: Context, body: unknown): Promise<string | null> {
  const events = spillMessage.safeParse(body);
  if (events.success) return spill.apply(context, events.data);
  const bytes = bytesRecord.safeParse(body);
  if (bytes.success) return archiveAgain(context, Buffer.from(bytes.data.base64, "base64"));
  const totals = ratingMessage.safeParse(body);
  if (!totals.success) return "it is no message of ours";
  await applyRating(context.store, [totals.data]);
  return null;
}

async function archiveAgain(context: Context, bytes: Uint8Array): Promise<string | null> {
  try {
    await fileNow(context, decodeArchiveMessage(bytes));
    return null;
  } catch (error) {
    context.report("a dead letter could not be archived", { cause: causeOf(error) });
    return error instanceof Error ? error.message : String(error);
  }
}
