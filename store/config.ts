/**
 * Published configuration: immutable snapshots, one per version of a namespace. Objects are configured with them; nothing else
 * here reads what is inside. A publication is one batch: the version moves, the snapshot appears, the resource's rows with it.
 */
import { and, eq, isNull, lt, sql } from "drizzle-orm";
import { ok, refuse, type Result } from "../core/result";
import type { Statement, Store, Violation } from "./store";

/** An object takes it as one RPC argument and the row must stay under D1's 2 MB. */
export const SNAPSHOT_BYTES_MAX = 1_000_000;

/** Callers know a version for at most 30 s, so a superseded snapshot is long past use by then; kept for ever they would fill D1. */
export const SUPERSEDED_SNAPSHOT_MS = 60 * 60_000;

export interface CurrentConfig {
  version: number;
  /** null at version 0: nothing was published yet. */
  snapshot: string | null;
}

/** What the next publication starts from. null: no such namespace. */
export async function currentConfig(store: Store, namespaceId: string): Promise<CurrentConfig | null> {
  const { namespaces, configVersions } = store.tables;
  const [current] = await store.db
    .select({ version: namespaces.configVersion, snapshot: configVersions.snapshot })
    .from(namespaces)
    .leftJoin(
      configVersions,
      and(eq(configVersions.namespaceId, namespaces.id), eq(configVersions.version, namespaces.configVersion)),
    )
    .where(eq(namespaces.id, namespaceId));
  return current ?? null;
}

/** null: never published, or superseded more than an hour ago. */
export async function readSnapshot(store: Store, namespaceId: string, version: number): Promise<string | null> {
  const { configVersions } = store.tables;
  const [row] = await store.db
    .select({ snapshot: configVersions.snapshot })
    .from(configVersions)
    .where(and(eq(configVersions.namespaceId, namespaceId), eq(configVersions.version, version)));
  return row?.snapshot ?? null;
}

export type PublishRefusal =
  /** Somebody else published since `expectedVersion` was read, or the namespace is closed. Read again and retry. */
  | { reason: "stale_version" }
  | { reason: "snapshot_too_large"; bytes: number; bytesMax: number }
  /** One of `statements` met a unique key: a taken name, or an Idempotency-Key that was used before. */
  | Violation;

/** Publishes `snapshot` as version `expectedVersion + 1` together with the rows that it was made from, or nothing at all. */
export async function publishConfig(
  store: Store,
  namespaceId: string,
  expectedVersion: number,
  snapshot: string,
  statements: readonly Statement[],
  now: number,
): Promise<Result<{ version: number }, PublishRefusal>> {
  const bytes = new TextEncoder().encode(snapshot).length;
  if (bytes > SNAPSHOT_BYTES_MAX) return refuse({ reason: "snapshot_too_large", bytes, bytesMax: SNAPSHOT_BYTES_MAX });

  const { namespaces, configVersions } = store.tables;
  const version = expectedVersion + 1;
  const advance = store.db
    .update(namespaces)
    .set({ configVersion: version })
    .where(
      and(eq(namespaces.id, namespaceId), eq(namespaces.configVersion, expectedVersion), isNull(namespaces.closedAt)),
    );
  // Two ways to lose, and both fail here: the version is taken (unique key), or it is not the namespace's (NOT NULL).
  const published = sql<number>`(select config_version from namespaces where id = ${namespaceId} and config_version = ${version})`;
  const result = await store.batch([
    advance,
    store.db.insert(configVersions).values({ namespaceId, version: published, snapshot, createdAt: now }),
    ...statements,
    forgetSuperseded(store, namespaceId, now),
  ]);
  if (result.ok) return ok({ version });
  return result.refusal.table === "config_versions" ? refuse({ reason: "stale_version" }) : result;
}

/** A version is superseded when its successor is published: so all before the newest one that is itself an hour old. */
function forgetSuperseded(store: Store, namespaceId: string, now: number): Statement {
  const { configVersions } = store.tables;
  const current = sql`(select max(version) from config_versions where namespace_id = ${namespaceId} and created_at < ${now - SUPERSEDED_SNAPSHOT_MS})`;
  return store.db
    .delete(configVersions)
    .where(and(eq(configVersions.namespaceId, namespaceId), lt(configVersions.version, current)));
}
