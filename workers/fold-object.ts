/**
 * Brings the shared store up to one object's folds: the object counts what new meters lack of its log, and its rollups are written here,
 * page by page, because a queue keeps no order and "all of it is there" must come last. Each step may be repeated.
 */
import type { FoldProgress } from "../core/refold";
import type { Answer, FoldedPage } from "../durable-objects/rpc";
import { applyRating } from "../store/apply-rating";
import { noteFolded } from "../store/fold-progress";
import type { Context } from "./context";
import type { Operation } from "./customers";

/** Calls of one object in one go; each counts some 50,000 events, or brings 2,000 rollups. */
export const FOLD_CALLS_MAX = 20;

type Left = Answer<{ left: FoldProgress | null }>;

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
  async function foldThenTell(stub, call): Promise<Left> {
    let calls = 0;
    for (;;) {
      const counted = await stub.refold(call);
      if (!counted.ok) return counted;
      if (counted.left === null) break;
      if (++calls >= callsMax) return counted;
    }
    for (let written: string | null = null; ;) {
      const take = ++calls <= callsMax;
      const told: Answer<FoldedPage> = await stub.foldedRollups(call, { written, take });
      // What is left to tell counts as nothing left to count; whoever asks again goes on with it.
      if (!told.ok)
        return told.reason === "folding" ? { ok: true, left: { done: told.done, total: told.total } } : told;
      if (told.messages.length > 0) await applyRating(context.store, told.messages);
      if (told.page === null) {
        await noteFolded(context.store, namespaceId, object, told.foldedVersion);
        return { ok: true, left: null };
      }
      written = told.page;
    }
  };
