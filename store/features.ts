/**
 * Features: what plans and entitlements speak of, and which part of a meter each one means. An archived feature stays, and its key is
 * free again. What may be a feature is core/feature's; here a feature and its meter are kept together under concurrent changes.
 */
import { and, asc, count, desc, eq, inArray, isNull, notInArray, or, sql, type SQL } from "drizzle-orm";
import type { UnitCost } from "../core/feature";
import type { FilterString } from "../core/filter";
import { refuse, ok, type Result } from "../core/result";
import { commit, type Statement, type Store, type Violation } from "./store";

export interface FeatureRow {
  id: string;
  key: string;
  name: string;
  meterId: string | null;
  /** The meter's slug, which never changes. */
  meterKey: string | null;
  /** By dimension of the meter. */
  filters: Record<string, FilterString> | null;
  unitCost: UnitCost | null;
  metadata: Record<string, string> | null;
  createdAt: number;
  updatedAt: number;
  archivedAt: number | null;
}

export type NewFeature = Omit<FeatureRow, "archivedAt">;

export const FEATURE_ORDERS = ["id", "key", "name", "createdAt", "updatedAt"] as const;
export interface FeatureList {
  /** Slugs; none: of any meter and of none. */
  meterKeys: readonly string[];
  includeArchived: boolean;
  orderBy: (typeof FEATURE_ORDERS)[number];
  order: "ASC" | "DESC";
  offset: number;
  limit: number;
}

/** The column's JSON, which only this file writes. */
const read = (row: Store["tables"]["features"]["$inferSelect"]): FeatureRow => ({
  ...row,
  filters: row.filters as FeatureRow["filters"],
  unitCost: row.unitCost as FeatureRow["unitCost"],
});

/**
 * Makes a feature over a meter that exists when the batch commits. `meter_changed`: the meter is gone or has lost dimensions since it was
 * read at `meterUpdatedAt`. Other violations are those of `statements`.
 */
export async function createFeature(
  store: Store,
  namespaceId: string,
  feature: NewFeature,
  meterUpdatedAt: number | null,
  statements: readonly Statement[] = [],
): Promise<Result<null, { reason: "key_taken" } | { reason: "meter_changed" } | Violation>> {
  const { features, meters } = store.tables;
  const row = { ...feature, namespaceId, unitCost: feature.unitCost as Record<string, unknown> | null };
  const result = await store.batch(
    feature.meterId === null
      ? [store.db.insert(features).values(row), ...statements]
      : [
          // Postgres: this waits for whoever is changing the meter, so that the insert below sees what they did.
          store.db
            .update(meters)
            .set({ updatedAt: meters.updatedAt as never })
            .where(and(eq(meters.namespaceId, namespaceId), eq(meters.id, feature.meterId))),
          // Where the meter is another one now, this finds no name, NOT NULL fails, and the batch with it.
          store.db.insert(features).values({
            ...row,
            name: sql<string>`(select ${feature.name} from meters where namespace_id = ${namespaceId} and id = ${feature.meterId} and updated_at = ${meterUpdatedAt} and deleted_at is null)`,
          }),
          ...statements,
        ],
  );
  if (result.ok) return ok(null);
  const { table, columns } = result.refusal;
  if (table !== "features") return result;
  return refuse({ reason: columns.includes("key") ? "key_taken" : "meter_changed" });
}

/** false: there is no such feature that is not archived. */
export async function archiveFeature(store: Store, namespaceId: string, id: string, now: number): Promise<boolean> {
  const { features } = store.tables;
  const { changes } = await commit(store, [
    store.db
      .update(features)
      .set({ archivedAt: now, updatedAt: now })
      .where(and(eq(features.namespaceId, namespaceId), eq(features.id, id), isNull(features.archivedAt))),
  ]);
  return changes[0] === 1;
}

/** By id or by key; archived ones do not exist. No key is an id. */
export async function findFeature(store: Store, namespaceId: string, idOrKey: string): Promise<FeatureRow | null> {
  const { features } = store.tables;
  // The namespace in both halves: SQLite then seeks two keys; factored out, it would read the whole namespace.
  const inNamespace = and(eq(features.namespaceId, namespaceId), isNull(features.archivedAt));
  const [row] = await store.db
    .select()
    .from(features)
    .where(or(and(inNamespace, eq(features.id, idOrKey)), and(inNamespace, eq(features.key, idOrKey))));
  return row === undefined ? null : read(row);
}

export async function listFeatures(
  store: Store,
  namespaceId: string,
  list: FeatureList,
): Promise<{ items: FeatureRow[]; totalCount: number }> {
  const { features } = store.tables;
  const direction = list.order === "DESC" ? desc : asc;
  const where = listed(store, namespaceId, list);
  const rows = await store.db
    .select()
    .from(features)
    .where(where)
    .orderBy(direction(features[list.orderBy]), direction(features.id))
    .limit(list.limit)
    .offset(list.offset);
  const [total] = await store.db.select({ count: count() }).from(features).where(where);
  return { items: rows.map(read), totalCount: total?.count ?? 0 };
}

function listed(store: Store, namespaceId: string, { meterKeys, includeArchived }: FeatureList): SQL | undefined {
  const { features } = store.tables;
  return and(
    eq(features.namespaceId, namespaceId),
    includeArchived ? undefined : isNull(features.archivedAt),
    meterKeys.length === 0 ? undefined : inArray(features.meterKey, texts(store, meterKeys)),
  );
}

/** A list of any length as one bound parameter: D1 takes a hundred. */
const texts = ({ dialect }: Store, values: readonly string[]): SQL =>
  sql`(select r.value ->> 0 from ${dialect.jsonRows(JSON.stringify(values.map((value) => [value])))})`;

/** The features that are not archived and mean this meter. */
export async function featuresOfMeter(store: Store, namespaceId: string, meterId: string): Promise<FeatureRow[]> {
  const { features } = store.tables;
  const rows = await store.db
    .select()
    .from(features)
    .where(and(eq(features.namespaceId, namespaceId), eq(features.meterId, meterId), isNull(features.archivedAt)))
    .orderBy(asc(features.id));
  return rows.map(read);
}

/**
 * For the batch that changes or deletes a meter, behind the statement that does: makes it fail, as a violation of `features(key)`, when
 * the meter has a feature that is not archived and not among `known`: those that `featuresOfMeter` answered and the caller has judged.
 */
export function refuseOtherFeatures(
  store: Store,
  namespaceId: string,
  meterId: string,
  known: readonly string[],
): Statement {
  const { features } = store.tables;
  return store.db
    .update(features)
    .set({ key: sql`null` })
    .where(
      and(
        eq(features.namespaceId, namespaceId),
        eq(features.meterId, meterId),
        isNull(features.archivedAt),
        known.length === 0 ? undefined : notInArray(features.id, texts(store, known)),
      ),
    );
}
