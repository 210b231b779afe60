/**
 * Applies rating messages to the projections: objects, customers, wallets, rollups. A message carries running totals with
 * (epoch, seq), so any mix of redelivered, reordered and split messages ends in the same rows. Called by the queue consumer with
 * whatever a batch brought, of any namespaces, and by the edge after a control-plane write.
 */
import type { RatingMessage, Rollup } from "../schema/messages";
import { isNewer } from "./bulk";
import { adoptCustomers, closeCustomers, type ClosedCustomer, type Projected } from "./customers";
import { upsertObjects, type ObjectRow } from "./objects";
import { upsertRollups, type RollupRow } from "./rollups";
import { commit, type Store } from "./store";
import { upsertWallets, type WalletRow } from "./wallets";

/** Rollups in one statement: some 400 bytes each as JSON, and D1 binds values up to 2 MB. */
export const ROLLUPS_PER_STATEMENT_MAX = 2_000;

export interface Applied {
  /** Rows that were new or newer. */
  changed: number;
  /** What D1 bills for it. */
  rowsWritten: number;
}

export async function applyRating(store: Store, messages: readonly RatingMessage[]): Promise<Applied> {
  const applied: Applied = { changed: 0, rowsWritten: 0 };
  for (const slice of slicesOf(messages)) {
    const objects = newestByKey(slice.map(objectRow), ({ namespaceId, name }) => [namespaceId, name]);
    const customers = newestByKey(slice.flatMap(customerRows), ({ namespaceId, id }) => [namespaceId, id]);
    const wallets = newestByKey(slice.flatMap(walletRows), ({ namespaceId, customerId }) => [namespaceId, customerId]);
    const rollups = newestByKey(
      slice.flatMap((message) => message.rollups.map((rollup) => rollupRow(message, rollup))),
      ({ namespaceId, meterKey, resolution, windowStart, object, groupKey }) => [
        namespaceId,
        meterKey,
        resolution,
        windowStart,
        object,
        groupKey,
      ],
    );
    const closed = slice.flatMap(closedCustomerRows);
    const { changes, rowsWritten } = await commit(store, [
      upsertObjects(store, objects),
      ...(closed.length > 0 ? closeCustomers(store, closed) : []),
      ...(customers.length > 0 ? [adoptCustomers(store, customers)] : []),
      ...(wallets.length > 0 ? [upsertWallets(store, wallets)] : []),
      ...(rollups.length > 0 ? [upsertRollups(store, rollups)] : []),
    ]);
    applied.changed += changes.reduce((rows, count) => rows + count, 0);
    applied.rowsWritten += rowsWritten;
  }
  return applied;
}

/** Cut so that the rollups of a slice fit one statement. Each slice is a batch of its own: half of them applied is no harm. */
function* slicesOf(messages: readonly RatingMessage[]): Generator<RatingMessage[]> {
  let slice: RatingMessage[] = [];
  let rollups = 0;
  for (const message of messages) {
    if (slice.length > 0 && rollups + message.rollups.length > ROLLUPS_PER_STATEMENT_MAX) {
      yield slice;
      slice = [];
      rollups = 0;
    }
    slice.push(message);
    rollups += message.rollups.length;
  }
  if (slice.length > 0) yield slice;
}

type VersionedRow<T> = T & { epoch: string; seq: number };

/** The newest row of each key, in the order of the keys: what `upsertNewer` asks for. */
function newestByKey<T>(rows: readonly VersionedRow<T>[], keyOf: (row: T) => (string | number)[]): VersionedRow<T>[] {
  const newest = new Map<string, VersionedRow<T>>();
  for (const row of rows) {
    const key = JSON.stringify(keyOf(row));
    const known = newest.get(key);
    if (known === undefined || isNewer(row, known)) newest.set(key, row);
  }
  return [...newest].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, row]) => row);
}

const objectRow = (message: RatingMessage): VersionedRow<Omit<ObjectRow, "archivedSeq">> => ({
  namespaceId: message.namespaceId,
  name: message.object,
  epoch: message.epoch,
  seq: message.seq,
  lastSeq: message.seq,
  customerId: message.customer.id,
  customerKey: message.customer.key ?? message.customer.id,
  firstSeenAt: message.customer.createdAt,
  eventCount: message.eventCount,
  foldedVersion: message.foldedVersion ?? 0,
  today: message.today?.[0] ?? 0,
  todayCounts: message.today?.[1] ?? null,
  closed: message.closed ?? false,
  updatedAt: message.sentAt,
});

/** None of a subject that only sent events, nor of an object whose data is another customer's by now. */
const customerRows = ({
  namespaceId,
  epoch,
  seq,
  customer,
  declared = true,
  closed = false,
}: RatingMessage): VersionedRow<Projected>[] => (declared && !closed ? [{ namespaceId, epoch, seq, ...customer }] : []);

const closedCustomerRows = ({
  namespaceId,
  sentAt,
  customer,
  declared = true,
  closed = false,
}: RatingMessage): ClosedCustomer[] => (declared && closed ? [{ namespaceId, ...customer, deletedAt: sentAt }] : []);

const walletRows = ({
  namespaceId,
  epoch,
  seq,
  sentAt,
  customer,
  wallet,
  closed = false,
}: RatingMessage): WalletRow[] =>
  wallet === undefined
    ? []
    : [{ namespaceId, customerId: customer.id, epoch, seq, updatedAt: sentAt, closed, ...wallet }];

const rollupRow = (
  { namespaceId, object, epoch, seq }: RatingMessage,
  { meter, group, ...totals }: Rollup,
): RollupRow => ({
  namespaceId,
  object,
  epoch,
  seq,
  meterKey: meter,
  groupKey: group,
  ...totals,
});
