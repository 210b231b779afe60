/**
 * Messages that the platform gave up on, from every queue: recorded, so that they can be listed and replayed. Ours are recorded
 * with their reason before it comes to that; here are those whose consumer never got to say one.
 */
import { ratingMessage, spillMessage } from "../../schema/messages";
import { recordDeadLetters } from "../../store/dead-letters";
import { causeOf, type Context } from "../context";
import { deadLetter, retryDelaySeconds, type QueueName } from "./dead-letter";

export async function consumeDead(batch: MessageBatch, context: Context): Promise<void> {
  for (const message of batch.messages) {
    try {
      const letter = deadLetter(
        context,
        sourceOf(message.body),
        message,
        "the platform gave up: every attempt ended without a verdict",
      );
      await recordDeadLetters(context.store, [letter]);
      message.ack();
    } catch (error) {
      context.report("a dead letter could not be recorded", { cause: causeOf(error) });
      message.retry({ delaySeconds: retryDelaySeconds(message.attempts) });
    }
  }
}

/** A dead letter does not say which queue it comes from; its shape does. */
function sourceOf(body: unknown): QueueName {
  if (body instanceof ArrayBuffer) return "archive";
  if (spillMessage.safeParse(body).success) return "spill";
  return ratingMessage.safeParse(body).success ? "rating" : "dead";
}
