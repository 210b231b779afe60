/**
 * Changes of a namespace's meters: the rows and the configuration that objects fold by are written together. Rules of a definition are
 * core/meter-body's; here is what must stay true while features are made over a meter at the same time.
 */
import { foldKeyOf, type Meter } from "../core/meter";
import { dimensionsUsed } from "../core/feature";
import type { ConfigSnapshot } from "../durable-objects/rpc";
import { featuresOfMeter, refuseOtherFeatures, type FeatureRow } from "../store/features";
import type { Remember } from "./api/idempotency";
import { isRepeat } from "../store/idempotency";
import { deleteMeter, insertMeter, listMeters, updateMeter, type MeterRow, type NewMeter } from "../store/meters";
import { findNamespace } from "../store/namespaces";
import { purgeKeys, rollupKeys } from "../store/rollups";
import type { Violation } from "../store/store";
import { notFound, Problem, tryAgain } from "./api/problem";
import { publish, type Draft } from "./config";
import type { Context } from "./context";
import type { Tenant } from "./customers";
import { refoldLater } from "./refold";

/** A feature made over the meter while it changes makes us read them again; people do not do so for long. */
const CHANGE_ATTEMPTS_MAX = 3;

export type MadeMeter = Omit<NewMeter, "configVersion">;

/** What objects need to know of a meter. */
export const definitionOf = (meter: Omit<NewMeter, "configVersion">): Meter => ({
  id: meter.id,
  key: meter.key,
  eventType: meter.eventType,
  // Only this file writes the column, and it takes it from a Meter.
  aggregation: meter.aggregation as Meter["aggregation"],
  valueProperty: meter.valueProperty,
  groupBy: meter.groupBy,
  eventFrom: meter.eventFrom,
  createdAt: meter.createdAt,
});

/** The configuration with these meters in addition, and their rows. */
export const withMeters = (
  { store }: Context,
  namespaceId: string,
  current: ConfigSnapshot,
  made: readonly MadeMeter[],
): Pick<Draft<unknown>, "snapshot" | "statements"> => ({
  snapshot: { ...current, meters: [...current.meters, ...made.map(definitionOf)] },
  statements: made.map((meter) => insertMeter(store, namespaceId, { ...meter, configVersion: current.version + 1 })),
});

/** Makes a meter, or null: the Idempotency-Key has been used meanwhile. */
export async function makeMeter<R extends { status: number; body: unknown }>(
  context: Context,
  tenant: Tenant,
  meter: MadeMeter,
  reply: R,
  remember: Remember,
): Promise<R | null> {
  const { namespaceId } = tenant;
  const version = await publish(
    context,
    namespaceId,
    (current) => {
      const { snapshot, statements } = withMeters(context, namespaceId, current, [meter]);
      return { snapshot, statements: [...statements, ...remember(reply)], answer: current.version + 1 };
    },
    (violation) => {
      if (isRepeat(violation)) return "stop";
      throw new Problem(409, `a meter with the slug ${meter.key} exists already`);
    },
  );
  if (version === null) return null;
  refoldLater(context, tenant, version);
  return reply;
}

export type Described = Pick<MeterRow, "name" | "description" | "metadata">;

/** Changes what people read of a meter, and its dimensions. Answers the meter as it is now. */
export async function changeMeter(
  context: Context,
  tenant: Tenant,
  meter: MeterRow,
  change: Described & Pick<MeterRow, "groupBy">,
): Promise<MeterRow> {
  const { store } = context;
  const { namespaceId } = tenant;
  // Later than before even within a millisecond: it tells who reads the meter that it has changed.
  const now = Math.max(context.now(), meter.updatedAt + 1);
  const { groupBy, ...described } = change;
  const isSame = sameGroupBy(meter.groupBy, groupBy);
  if (isSame) {
    const written = await store.batch([updateMeter(store, namespaceId, meter.id, described, now)]);
    if (!written.ok || written.value.changes[0] === 0) throw notFound("this meter");
    return { ...meter, ...described, updatedAt: now };
  }
  const changed = await whileFeaturesStay(context, namespaceId, meter.id, (features, isFeature) => {
    refuseDropped(meter, groupBy, features);
    return publish(
      context,
      namespaceId,
      (current) => {
        if (!current.meters.some(({ id }) => id === meter.id)) throw notFound("this meter");
        const configVersion = current.version + 1;
        return {
          snapshot: {
            ...current,
            meters: current.meters.map((each) => (each.id === meter.id ? { ...each, groupBy } : each)),
          },
          statements: [
            updateMeter(store, namespaceId, meter.id, { ...described, groupBy, configVersion }, now),
            refuseOtherFeatures(
              store,
              namespaceId,
              meter.id,
              features.map(({ id }) => id),
            ),
          ],
          answer: { ...meter, ...described, groupBy, configVersion, foldedAt: null, updatedAt: now },
        };
      },
      (violation) => (isFeature(violation) ? "stop" : "again"),
    );
  });
  refoldLater(context, tenant, changed.configVersion);
  return changed;
}

/** Deletes a meter; one that is gone already stays so. */
export async function removeMeter(context: Context, namespaceId: string, meter: MeterRow): Promise<void> {
  const { store } = context;
  const now = Math.max(context.now(), meter.updatedAt + 1);
  await whileFeaturesStay(context, namespaceId, meter.id, (features, isFeature) => {
    const [feature] = features;
    if (feature !== undefined)
      throw new Problem(409, `the feature ${feature.key} uses this meter; archive it before you delete the meter`);
    return publish(
      context,
      namespaceId,
      (current) => ({
        snapshot: { ...current, meters: current.meters.filter(({ id }) => id !== meter.id) },
        statements: [
          deleteMeter(store, namespaceId, meter.id, now),
          refuseOtherFeatures(store, namespaceId, meter.id, []),
        ],
        answer: true,
      }),
      (violation) => (isFeature(violation) ? "stop" : "again"),
    );
  });
}

/** `change` judges the meter's features and answers null when there was another one by the time it committed. */
async function whileFeaturesStay<T>(
  context: Context,
  namespaceId: string,
  meterId: string,
  change: (features: FeatureRow[], isFeature: (violation: Violation) => boolean) => Promise<T | null>,
): Promise<T> {
  for (let attempt = 1; attempt <= CHANGE_ATTEMPTS_MAX; attempt++) {
    const features = await featuresOfMeter(context.store, namespaceId, meterId);
    const changed = await change(features, ({ table }) => table === "features");
    if (changed !== null) return changed;
  }
  throw tryAgain("features are being made over this meter; try again");
}

function refuseDropped({ groupBy }: MeterRow, next: MeterRow["groupBy"], features: readonly FeatureRow[]): void {
  const dropped = Object.keys(groupBy).filter((dimension) => !Object.hasOwn(next, dimension));
  for (const feature of features) {
    const uses = dimensionsUsed({ filters: feature.filters ?? {}, unitCost: feature.unitCost });
    const used = dropped.find((dimension) => uses.includes(dimension));
    if (used !== undefined)
      throw new Problem(409, `the dimension ${used} cannot be dropped, because the feature ${feature.key} uses it`);
  }
}

/** How many meters a namespace can have is how many fit its configuration. */
const ALL_METERS = { orderBy: "key", order: "ASC", includeDeleted: false, offset: 0, limit: 100_000 } as const;

/**
 * Deletes rollups that no query reads any more: of deleted meters, and of definitions that meters had before. Those stay while objects may
 * not know of their end, because a meter that becomes what it was finds them again. Answers how many rows went.
 */
export async function forgetRollups(context: Context, namespaceId: string, rowsMax: number): Promise<number> {
  const { store } = context;
  const namespace = await findNamespace(store, namespaceId);
  const keys = await rollupKeys(store, namespaceId);
  const meters = new Map((await listMeters(store, namespaceId, ALL_METERS)).map((meter) => [meter.id, meter]));
  const forgotten = keys.filter((key) => {
    const meter = meters.get(key.slice(0, key.lastIndexOf(".")));
    return meter === undefined || (meter.foldedAt !== null && foldKeyOf(definitionOf(meter)) !== key);
  });
  if (namespace === null || forgotten.length === 0) return 0;
  return purgeKeys(store, namespaceId, { keys: forgotten, configVersion: namespace.configVersion, rowsMax });
}

const sameGroupBy = (a: Record<string, string>, b: Record<string, string>): boolean =>
  Object.keys(a).length === Object.keys(b).length && Object.entries(a).every(([name, path]) => b[name] === path);
