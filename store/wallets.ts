/** Wallets as the shared store last heard of them, for lists and reports. A projection: a single customer's is asked of its object. */
import { and, asc, eq, gt } from "drizzle-orm";
import type { WalletStatus } from "../schema/tables";
import { upsertNewer } from "./bulk";
import { pageOf, type Page, type PageRequest } from "./page";
import type { Statement, Store } from "./store";

export interface WalletRow {
  namespaceId: string;
  customerId: string;
  balance: string;
  held: string;
  currency: string;
  status: WalletStatus;
  unrated: number;
  /** It has moved into another wallet; only `upsertWallets` still knows it. */
  closed: boolean;
  epoch: string;
  seq: number;
  updatedAt: number;
}

export function upsertWallets(store: Store, rows: readonly WalletRow[]): Statement {
  const { wallets } = store.tables;
  return upsertNewer(store, wallets, rows, {
    key: [wallets.namespaceId, wallets.customerId],
    epoch: wallets.epoch,
    seq: wallets.seq,
  });
}

export async function findWallet(store: Store, namespaceId: string, customerId: string): Promise<WalletRow | null> {
  const { wallets } = store.tables;
  const [row] = await store.db
    .select()
    .from(wallets)
    .where(and(eq(wallets.namespaceId, namespaceId), eq(wallets.customerId, customerId), eq(wallets.closed, false)));
  return row ?? null;
}

/** By customer id. */
export async function listWallets(
  store: Store,
  namespaceId: string,
  { cursor, limit }: PageRequest,
): Promise<Page<WalletRow>> {
  const { wallets } = store.tables;
  const rows = await store.db
    .select()
    .from(wallets)
    .where(
      and(
        eq(wallets.namespaceId, namespaceId),
        eq(wallets.closed, false),
        cursor === null ? undefined : gt(wallets.customerId, cursor),
      ),
    )
    .orderBy(asc(wallets.customerId))
    .limit(limit + 1);
  return pageOf(rows, limit, (row) => row.customerId);
}
