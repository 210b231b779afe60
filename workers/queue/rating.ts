/**
 * Running totals from the objects into the store's projections. A whole batch is one bulk write; applying a message twice, late or
 * out of order changes nothing, so a failed batch is simply tried again, and one bad message cannot hold up the others for ever.
 */
import { ratingMessage, type RatingMessage } from "../../schema/messages";
import { applyRating } from "../../store/apply-rating";
import { recordDeadLetters } from "../../store/dead-letters";
import { causeOf, type Context } from "../context";
import { deadLetter, retryDelaySeconds } from "./dead-letter";

/** From this attempt on each message goes alone, so that the one at fault is found. */
const ALONE_FROM_ATTEMPT = 4;
/** Below the 20 after which the platform gives up without a reason. */
export const RATING_ATTEMPTS_MAX = 16;

interface Parsed {
  message: Message;
  rating: RatingMessage;
}

export async function consumeRating(batch: MessageBatch, context: Context): Promise<void> {
  const together: Parsed[] = [];
  const alone: Parsed[] = [];
  for (const message of batch.messages) {
    const parsed = ratingMessage.safeParse(message.body);
    if (!parsed.success) await giveUp(context, message, `not a rating message: ${parsed.error.message}`);
    else (message.attempts < ALONE_FROM_ATTEMPT ? together : alone).push({ message, rating: parsed.data });
  }
  if (together.length > 0) await applyAndSettle(context, together);
  for (const one of alone) await applyAndSettle(context, [one]);
}

async function applyAndSettle(context: Context, parsed: readonly Parsed[]): Promise<void> {
  try {
    await applyRating(
      context.store,
      parsed.map(({ rating }) => rating),
    );
    for (const { message } of parsed) message.ack();
  } catch (error) {
    context.report("rating messages could not be applied", { messages: parsed.length, cause: causeOf(error) });
    for (const { message } of parsed) {
      if (message.attempts < RATING_ATTEMPTS_MAX) message.retry({ delaySeconds: retryDelaySeconds(message.attempts) });
      else
        await giveUp(
          context,
          message,
          `gave up after ${message.attempts} attempts: ${error instanceof Error ? error.message : String(error)}`,
        );
    }
  }
}

async function giveUp(context: Context, message: Message, reason: string): Promise<void> {
  try {
    await recordDeadLetters(context.store, [deadLetter(context, "rating", message, reason)]);
    message.ack();
  } catch (error) {
    context.report("a dead letter could not be recorded", { cause: causeOf(error) });
    message.retry({ delaySeconds: retryDelaySeconds(message.attempts) });
  }
}
