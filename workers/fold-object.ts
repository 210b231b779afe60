/**
 * Brings the shared store up to one object's folds: the object counts what new meters lack of its log, and its rollups are written here,
 * page by page, because a queue keeps no order and "all of it is there" must come last. Each step may be repeated.
 */
import type { FoldProgress } from "../core/refold";
import type { Answer } from "../durable-objects/rpc";
import { applyRating } from "../store/apply-rating";
import { noteFolded } from "../store/fold-progress";
import type { Context } from "./context";
import type { Operation } from "./customers";

/** Calls of one object in one go; each counts some 50,000 events, or brings 2,000 rollups. */
export const FOLD_CALLS_MAX = 20;

/**
 * An operation on an object that is behind (workers/customers.ts): `left` null when the store has everything and has noted it, else how far
 * the object is. `object` is the object's name.
 */
export const foldObject = (
  context: Context,
  namespaceId: string,
  object: string,
  callsMax = FOLD_CALLS_MAX,
): Operation<{ left: FoldProgress | null }> =>
  async function foldThenTell(stub, call): Promise<Answer<{ left: FoldProgress | null }>> {
    let folded = false;
    let after: string | null = null;
    for (let calls = 0; calls < callsMax; calls++) {
      if (!folded) {
        const answer = await stub.refold(call);
        if (!answer.ok) return answer;
        if (answer.left !== null && calls === callsMax - 1) return answer;
        folded = answer.left === null;
        continue;
      }
      const page = await stub.foldedRollups(call, after);
      if (!page.ok) return page;
      if (page.messages.length > 0) await applyRating(context.store, page.messages);
      if (page.next === null) {
        await noteFolded(context.store, namespaceId, object, page.foldedVersion);
        return { ok: true, left: null };
      }
      after = page.next;
    }
    return { ok: true, left: { done: 0, total: 0 } };
  };
