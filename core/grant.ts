/**
 * Credit grants, and the one burn under wallets and quotas: which grants pay, in which order, and what none of them covers.
 * Order: priority (0 first), then the earliest expiry (never last), then creation. Pure; the caller supplies amount and grants.
 */
import { assert } from "./result";
import type { Decimal } from "./decimal";

export interface Grant {
  id: string;
  amount: Decimal;
  remaining: Decimal;
  kind: "paid" | "promo";
  /** 0 burns first. */
  priority: number;
  /** Epoch ms; usable in [effectiveAt, expiresAt). */
  effectiveAt: number;
  expiresAt: number | null;
  reason: string;
  createdAt: number;
  /** Creation order within the wallet: decides between grants that carry the same time. */
  order: number;
  /** Its credits have entered the balance. */
  activated: boolean;
  voidedAt: number | null;
}

export type GrantStatus = "pending" | "active" | "exhausted" | "expired" | "voided";

/** What a grant is at `at`. */
export function grantStatus(grant: Grant, at: number): GrantStatus {
  if (grant.voidedAt !== null) return "voided";
  if (grant.expiresAt !== null && grant.expiresAt <= at) return "expired";
  if (!grant.activated) return "pending";
  return grant.remaining === 0n ? "exhausted" : "active";
}

/** Negative when `a` burns before `b`. */
export function burnOrder(a: Grant, b: Grant): number {
  if (a.priority !== b.priority) return a.priority - b.priority;
  const aExpiry = a.expiresAt ?? Infinity;
  const bExpiry = b.expiresAt ?? Infinity;
  if (aExpiry !== bExpiry) return aExpiry < bExpiry ? -1 : 1;
  if (a.createdAt !== b.createdAt) return a.createdAt - b.createdAt;
  return a.order - b.order;
}

export interface Burn {
  /** What each grant gives, in burn order; amounts above zero. */
  taken: [grantId: string, amount: Decimal][];
  /** What no grant covers. */
  overage: Decimal;
}

/**
 * Splits `amount` over grants that are given in burn order and are all usable now.
 * taken + overage = amount, always; no grant gives more than it has.
 */
export function burn(inOrder: readonly Grant[], amount: Decimal): Burn {
  assert(amount >= 0n, "a burn is never negative");
  const taken: [string, Decimal][] = [];
  let left = amount;
  for (const grant of inOrder) {
    if (left === 0n) break;
    if (grant.remaining <= 0n) continue;
    const part = grant.remaining < left ? grant.remaining : left;
    taken.push([grant.id, part]);
    left -= part;
  }
  return { taken, overage: left };
}
