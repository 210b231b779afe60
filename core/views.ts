/**
 * What an account looks like from outside: wallets, grants, costs and transactions as plain data with decimal strings.
 * The only place where exact integers become the strings that go on the wire.
 */
import type { Account } from "./account";
import { formatDecimal } from "./decimal";
import { grantStatus, type Grant, type GrantStatus } from "./grant";
import type { Transaction, TransactionType } from "./journal";
import type { Cost } from "./price";
import { available, walletStatus, type WalletStatus } from "./wallet";

export interface CostView {
  amount: string;
  currency: string;
  lines: { dimension: string; quantity: string; rate: string; per: string; amount: string }[];
  burnTable: { key: string; version: number };
  priceBook?: { name: string; version: string };
}

export function costView(cost: Cost): CostView {
  return {
    amount: formatDecimal(cost.amount),
    currency: cost.currency,
    lines: cost.lines.map((line) => ({
      dimension: line.dimension,
      quantity: formatDecimal(line.quantity),
      rate: formatDecimal(line.rate),
      per: formatDecimal(line.per),
      amount: formatDecimal(line.amount),
    })),
    burnTable: cost.burnTable,
    ...(cost.priceBook && { priceBook: cost.priceBook }),
  };
}

export interface WalletView {
  /** null: nothing was ever written for this name. */
  customerId: string | null;
  /** The customer's key, or its id when it has none. */
  userId: string;
  balance: string;
  held: string;
  available: string;
  overdraftLimit: string;
  currency: string;
  status: WalletStatus;
  /** Debitable events that no rule priced yet. */
  unrated: number;
  burnTable: string | null;
  lastTransaction: { amount: string; reason: string; timestamp: number } | null;
}

/** `identity` is given where the account is about to get it with its first entry. */
export function walletView(account: Account, name: string, identity = account.identity): WalletView {
  const { wallet } = account;
  return {
    customerId: identity?.customerId ?? null,
    userId: identity ? (identity.key ?? identity.customerId) : name,
    balance: formatDecimal(wallet.balance),
    held: formatDecimal(wallet.held),
    available: formatDecimal(available(wallet)),
    overdraftLimit: formatDecimal(wallet.overdraftLimit),
    currency: wallet.currency,
    status: walletStatus(wallet),
    unrated: account.unrated.count,
    burnTable: wallet.burnTable,
    lastTransaction: wallet.last && {
      amount: formatDecimal(wallet.last.amount),
      reason: wallet.last.reason,
      timestamp: wallet.last.timestamp,
    },
  };
}

export interface GrantView {
  id: string;
  amount: string;
  remaining: string;
  kind: "paid" | "promo";
  priority: number;
  effectiveAt: number;
  expiresAt: number | null;
  status: GrantStatus;
  reason: string;
  createdAt: number;
  voidedAt: number | null;
}

export function grantView(grant: Grant, at: number): GrantView {
  const status = grantStatus(grant, at);
  return {
    id: grant.id,
    amount: formatDecimal(grant.amount),
    remaining: formatDecimal(status === "pending" ? grant.amount : grant.remaining),
    kind: grant.kind,
    priority: grant.priority,
    effectiveAt: grant.effectiveAt,
    expiresAt: grant.expiresAt,
    status,
    reason: grant.reason,
    createdAt: grant.createdAt,
    voidedAt: grant.voidedAt,
  };
}

export interface TransactionView {
  /** A ULID that carries its place in the log. */
  id: string;
  type: TransactionType;
  amount: string;
  held?: string;
  balanceAfter: string;
  reason: string;
  eventId?: string;
  grantId?: string;
  timestamp: number;
  /** Hex sha-256 over the canonical form and the hash before it (docs/journal.md). */
  hash: string;
}

export function transactionView(transaction: Transaction): TransactionView {
  const { eventId, grantId, ...rest } = transaction;
  return { ...rest, ...(eventId !== null && { eventId }), ...(grantId !== null && { grantId }) };
}
