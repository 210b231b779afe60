/** What runs when, by the expressions of wrangler.toml. Every job may run twice, late, or not at all. */
import { ulid } from "ulid";
import { purgeAnswers } from "../../store/idempotency";
import { listNamespaces } from "../../store/namespaces";
import { EXPIRED_TOKEN_MS, purgePortalTokens } from "../../store/portal-tokens";
import { purgeProgress } from "../../store/progress";
import { purgeMinutes } from "../../store/rollups";
import { commit } from "../../store/store";
import { archiveForgotten, isLocal } from "../archive/again";
import type { Context } from "../context";
import { finishLinks } from "../link-customer";
import { forgetRollups } from "../meters";
import { sweepFolds } from "../refold";

/** A run's share: a backlog drains over the next runs instead of stopping the database. */
const ANSWERS_PURGED_MAX = 1_000;
/** Rollup rows that a run deletes, of all namespaces together: some 10 s. D1's 10 GB hold 35 days of 35,000 new ones an hour. */
const ROLLUPS_PURGED_MAX = 1_000_000;
/** And one statement, some 40 ms, for which every writer of D1 waits. A run may send 1,000 of them. */
const ROWS_PER_STATEMENT_MAX = 5_000;
const PORTAL_TOKENS_PURGED_MAX = 5_000;
const NAMESPACES_PER_PAGE = 100;

const HOUR_MS = 60 * 60_000;
const HALF_HOUR_MS = HOUR_MS / 2;
const MINUTE_MS = 60_000;

export const jobs: Record<string, (context: Context, scheduledMs: number) => Promise<void>> = {
  async "* * * * *"(context, scheduledMs) {
    await purgeAnswers(context.store, context.now(), ANSWERS_PURGED_MAX);
    await finishLinks(context);
    await sweepFolds(context);
    if (scheduledMs % HOUR_MS < MINUTE_MS) {
      await purgeRollups(context);
      await forgetPortalTokens(context);
    }
    if (isLocal(context) || scheduledMs % HOUR_MS < MINUTE_MS) {
      for (const id of await openNamespaces(context)) await archiveForgotten(context, id);
    }
    // At another time than the other purges, because they are long.
    if ((scheduledMs + HALF_HOUR_MS) % HOUR_MS < MINUTE_MS) await forgetDefinitions(context);
  },
};

/** Rollups that no query reads any more. A backlog is the next run's. */
export async function forgetDefinitions(context: Context, rowsMax = ROLLUPS_PURGED_MAX): Promise<void> {
  let left = rowsMax;
  for (const id of await openNamespaces(context)) {
    await commit(context.store, [purgeProgress(context.store, id, context.now())]);
    let purged = ROWS_PER_STATEMENT_MAX;
    while (purged === ROWS_PER_STATEMENT_MAX && left >= ROWS_PER_STATEMENT_MAX) {
      purged = await forgetRollups(context, id, ROWS_PER_STATEMENT_MAX);
      left -= purged;
    }
  }
}

/** In rounds of one statement each, so that a namespace with a backlog does not keep the others from being purged. */
export async function purgeRollups(context: Context, rowsMax = ROLLUPS_PURGED_MAX): Promise<void> {
  let left = rowsMax;
  let round = await openNamespaces(context);
  while (round.length > 0) {
    const unfinished: string[] = [];
    for (const id of round) {
      if (left === 0) return;
      const limit = Math.min(left, ROWS_PER_STATEMENT_MAX);
      const purged = await purgeMinutes(context.store, id, context.now(), limit);
      left -= purged;
      if (purged === limit) unfinished.push(id);
    }
    round = unfinished;
  }
}

/** Long expired ones: a page that makes one a view would fill the table. */
async function forgetPortalTokens(context: Context): Promise<void> {
  const at = context.now() - EXPIRED_TOKEN_MS;
  const idBefore = ulid(at);
  for (const id of await openNamespaces(context))
    await purgePortalTokens(context.store, id, { idBefore, at, rowsMax: PORTAL_TOKENS_PURGED_MAX });
}

async function openNamespaces({ store }: Context): Promise<string[]> {
  const ids: string[] = [];
  let cursor: string | null = null;
  do {
    const page: Awaited<ReturnType<typeof listNamespaces>> = await listNamespaces(store, {
      cursor,
      limit: NAMESPACES_PER_PAGE,
    });
    for (const { id } of page.items) ids.push(id);
    cursor = page.nextCursor;
  } while (cursor !== null);
  return ids;
}
