/**
 * After a control-plane write the store's lists show it at once: the object's projections are written before the answer leaves.
 * The queue brings them too, so a failure here loses nothing and is only reported.
 */
import type { Answer, Call, CustomerRpc } from "../durable-objects/rpc";
import { ratingMessage } from "../schema/messages";
import { applyRating } from "../store/apply-rating";
import { causeOf, type Context } from "./context";
import type { Operation } from "./customers";

export const drained = <T>(context: Context, change: Operation<T>): Operation<T> =>
  async function changeThenDrain(object: CustomerRpc, call: Call, target: string): Promise<Answer<T>> {
    const answer = await change(object, call, target);
    if (!answer.ok) return answer;
    try {
      const { messages } = await object.drain(call);
      if (messages.length > 0)
        await applyRating(
          context.store,
          messages.map((message) => ratingMessage.parse(message)),
        );
    } catch (error) {
      context.report("projections could not be written with a control-plane change", { cause: causeOf(error) });
    }
    return answer;
  };
