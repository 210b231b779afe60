/** What runs when, by the expressions of wrangler.toml. Every job may run twice, late, or not at all. */
import { purgeAnswers } from "../../store/idempotency";
import { listNamespaces } from "../../store/namespaces";
import { purgeMinutes } from "../../store/rollups";
import type { Context } from "../context";

/** A run's share: a backlog drains over the next runs instead of stopping the database. */
const ANSWERS_PURGED_MAX = 1_000;
const MINUTES_PURGED_MAX = 1_000;
const NAMESPACES_PER_PAGE = 100;

const HOUR_MS = 60 * 60_000;
const MINUTE_MS = 60_000;

export const jobs: Record<string, (context: Context, scheduledMs: number) => Promise<void>> = {
  async "* * * * *"(context, scheduledMs) {
    await purgeAnswers(context.store, context.now(), ANSWERS_PURGED_MAX);
    if (scheduledMs % HOUR_MS < MINUTE_MS) await purgeRollups(context);
  },
};

async function purgeRollups(context: Context): Promise<void> {
  let cursor: string | null = null;
  do {
    const page: Awaited<ReturnType<typeof listNamespaces>> = await listNamespaces(context.store, { cursor, limit: NAMESPACES_PER_PAGE });
    for (const { id } of page.items) await purgeMinutes(context.store, id, context.now(), MINUTES_PURGED_MAX);
    cursor = page.nextCursor;
  } while (cursor !== null);
}
