/**
 * Lets the objects of a namespace count what its newest meters lack of their logs: as much as a query may wait for, or a job may take.
 * Until all have, a query of the namespace is told how far they are, and never a smaller number.
 */
import {
  foldProgress,
  listBehind,
  markFolded,
  noteFolded,
  unfoldedNamespaces,
  type FoldProgress,
} from "../store/fold-progress";
import { isMerging } from "../store/merges";
import type { MeterRow } from "../store/meters";
import { findNamespace } from "../store/namespaces";
import { folding, tryAgain } from "./api/problem";
import { atOnce } from "./at-once";
import { causeOf, type Context } from "./context";
import { askObject, type Tenant } from "./customers";
import { FOLD_CALLS_MAX, foldObject } from "./fold-object";

/** Counting is CPU, and the objects of a small deployment share a few machines. */
const OBJECTS_AT_ONCE = 8;

export interface RefoldBounds {
  objectsMax: number;
  /** Calls of one object. */
  callsMax: number;
  msMax: number;
}

/** What a query does before it answers "not yet": some 300,000 events of one customer, or a few of each of many. */
export const QUERY_BOUNDS: RefoldBounds = { objectsMax: 500, callsMax: 8, msMax: 5_000 };
/** What follows a change of a meter, behind its answer. */
export const BACKGROUND_BOUNDS: RefoldBounds = { objectsMax: 1_000, callsMax: FOLD_CALLS_MAX, msMax: 20_000 };

/** Works on the objects that are behind this configuration version, and answers how far the namespace is then. */
export async function refold(
  context: Context,
  tenant: Tenant,
  version: number,
  { objectsMax, callsMax, msMax }: RefoldBounds,
): Promise<FoldProgress> {
  const { store } = context;
  const { namespaceId } = tenant;
  const before = await foldProgress(store, namespaceId, version);
  if (before.done === before.total) return before;
  const knowing: Tenant = { ...tenant, configVersion: Math.max(tenant.configVersion, version) };
  const untilMs = context.now() + msMax;
  const behind = await listBehind(store, namespaceId, { version, after: null, limit: objectsMax });
  await atOnce(behind, OBJECTS_AT_ONCE, async ({ name, customerId }) => {
    if (context.now() > untilMs) return;
    try {
      const operation = foldObject(context, namespaceId, name, callsMax);
      const folded = await askObject(context, knowing, { object: name, customerId }, operation);
      // It holds nothing any more.
      if (folded === null) await noteFolded(store, namespaceId, name, version);
    } catch (error) {
      context.report("an object could not be brought up to a meter", { object: name, cause: causeOf(error) });
    }
  });
  return foldProgress(store, namespaceId, version);
}

/** What a run of the cron may do, of all namespaces together. */
const SWEEP_MS_MAX = 30_000;
const SWEEP_NAMESPACES_MAX = 100;

/** Goes on with the namespaces that are not up to their newest meters, and marks those that are. */
export async function sweepFolds(context: Context): Promise<void> {
  const { store } = context;
  const untilMs = context.now() + SWEEP_MS_MAX;
  for (const { namespaceId, version } of await unfoldedNamespaces(store, SWEEP_NAMESPACES_MAX)) {
    const namespace = await findNamespace(store, namespaceId);
    const msMax = untilMs - context.now();
    if (namespace === null || namespace.closedAt !== null || msMax <= 0) continue;
    const { kind, configVersion } = namespace;
    await refold(context, { namespaceId, kind, configVersion }, version, { ...BACKGROUND_BOUNDS, msMax });
    await markFolded(store, namespaceId, context.now());
  }
}

/** Behind the answer to a change of a meter, so that in a small namespace nobody has to wait. */
export function refoldLater(context: Context, tenant: Tenant, version: number): void {
  context.later(refold(context, tenant, version, BACKGROUND_BOUNDS));
}

/** To be asked before and after the rollups are read. */
export async function requireUnmoved(context: Context, { namespaceId }: Tenant): Promise<void> {
  if (await isMerging(context.store, namespaceId, context.now()))
    throw tryAgain("usage is moving from one customer to another, and would be counted twice or not at all; ask again");
}

/** Whether the rollups can answer for the whole namespace; where they cannot yet, it is made so within bounds, or said how far it is. */
export async function requireFolded(
  context: Context,
  tenant: Tenant,
  meter: Pick<MeterRow, "foldedAt" | "configVersion">,
): Promise<void> {
  await requireUnmoved(context, tenant);
  if (meter.foldedAt !== null) return;
  const progress = await refold(context, tenant, meter.configVersion, QUERY_BOUNDS);
  if (progress.done < progress.total) throw folding("customers", progress);
}
