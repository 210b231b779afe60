/**
 * What the edge may ask of a customer's object, and what it answers. Types only; the class is customer.ts.
 * Everything crosses as plain data with decimals as canonical strings (structured clone and JSON both carry them exactly).
 * Expected refusals are values with `ok: false`; a rejected promise is a bug or the platform.
 */
import type { BurnTable, DefaultTable } from "../core/burn-table";
import type { Stored } from "../core/decimal";
import type { Meter } from "../core/meter";
import type { CostView, GrantView, TransactionView, WalletView } from "../core/views";

/** Rides with every call. */
export interface Call {
  namespaceId: string;
  /** The name this object was addressed by: a subject key, customer key or customer id. */
  name: string;
  /** The namespace's configuration version the caller knows (≤ 30 s old in live namespaces). */
  configVersion: number;
  /** Sandbox namespaces: the test clock's time, epoch ms. Live: absent, the object reads its own clock. */
  clockMs?: number;
}

/** The immutable snapshot of one configuration version. Decimals inside are strings (`Stored<…>`); ≤ 1 MB. */
export interface ConfigSnapshot {
  version: number;
  /** Every version of every table, ascending. */
  burnTables: Stored<BurnTable>[];
  /** Which table is the default from when on, ascending. */
  defaults: DefaultTable[];
  meters: Meter[];
}

/** Answers any call may get instead of its own. The edge handles each once, then answers 503. */
export type Redirect =
  /** The object's configuration is older than the call's: `configure` it with the snapshot of that version and repeat. */
  | { ok: false; reason: "stale_config"; have: number }
  /** Another object owns this name now; `home` is its object name. Repeat there. */
  | { ok: false; reason: "moved"; home: string };

/** Refusals of single operations; problem.ts maps each to a status and a stable type. */
export type Refusal =
  | { ok: false; reason: "unknown_customer" }
  | { ok: false; reason: "insufficient_credits"; available: string; required: string; currency: string }
  | { ok: false; reason: "unpriced_usage"; detail: string }
  | { ok: false; reason: "wallet_frozen" }
  | { ok: false; reason: "currency_mismatch"; wallet: string; table: string }
  /** The operation id was used before with another body. */
  | { ok: false; reason: "idempotency_conflict"; detail: string }
  | { ok: false; reason: "unknown_grant" | "grant_closed"; detail: string }
  | { ok: false; reason: "unknown_burn_table"; detail: string }
  | { ok: false; reason: "invalid"; detail: string }
  /** The object is at a documented bound (docs/limits.md). */
  | { ok: false; reason: "at_bound"; detail: string };

export type Answer<T> = ({ ok: true } & T) | Refusal | Redirect;

export type { CostView, GrantView, TransactionView, WalletView } from "../core/views";

export interface TrackCommand {
  /** JSON text of one normalized event (core/event.ts UsageEvent), `data.usage` included; text so that numbers stay exact. */
  eventJson: string;
  enforce: boolean;
}

export interface CustomerRpc {
  /**
   * Facts: a JSON array of normalized events, all of this customer (workers/api/event-parts.ts bounds it). All of it or (a throw) none.
   * `plain` promises that JSON.parse reads every number in it exactly.
   */
  record(call: Call, eventsJson: string, plain: boolean): Promise<Answer<{ recorded: number; duplicates: number }>>;
  track(
    call: Call,
    command: TrackCommand,
  ): Promise<Answer<{ eventId: string; duplicate: boolean; cost: CostView | null; wallet: WalletView }>>;
  check(
    call: Call,
    usageJson: string,
  ): Promise<
    Answer<{
      allowed: boolean;
      denial: null | "insufficient-credits" | "unpriced-usage" | "wallet-frozen";
      cost: CostView | null;
      wallet: WalletView;
    }>
  >;
  /** Rates against this customer's table; changes nothing. usageJson: {feature, usage, provider?, model?, time?}. */
  quote(call: Call, usageJson: string): Promise<Answer<{ cost: CostView }>>;
  wallet(call: Call): Promise<Answer<{ wallet: WalletView }>>;
  patchWallet(
    call: Call,
    patch: { overdraftLimit?: string; currency?: string; burnTable?: string | null; status?: "ACTIVE" | "FROZEN" },
  ): Promise<Answer<{ wallet: WalletView }>>;
  grant(
    call: Call,
    op: {
      id: string | null;
      opId: string;
      bodyHash: string;
      amount: string;
      currency: string | null;
      kind: "paid" | "promo";
      priority: number;
      effectiveAt: number | null;
      expiresAt: number | null;
      reason: string;
    },
  ): Promise<Answer<{ grant: GrantView; duplicate: boolean }>>;
  voidGrant(call: Call, grantId: string): Promise<Answer<{ grant: GrantView }>>;
  grants(
    call: Call,
    page: { cursor: string | null; limit: number },
  ): Promise<Answer<{ items: GrantView[]; nextCursor: string | null }>>;
  transactions(
    call: Call,
    page: { cursor: string | null; limit: number },
  ): Promise<Answer<{ items: TransactionView[]; nextCursor: string | null }>>;
  /** One slice of the check; call again with `next` until it is null. The edge adds nothing: each slice carries all state. */
  verify(
    call: Call,
    from: string | null,
  ): Promise<
    Answer<{
      valid: boolean;
      entries: number;
      balance: string;
      head: string;
      next: string | null;
      detail: string | null;
    }>
  >;
  /** Rates recorded events that had no price, oldest first, a slice a call; call again with `after: next` until `next` is null. */
  rateUnrated(
    call: Call,
    slice: { from: number | null; to: number | null; after: string | null },
  ): Promise<Answer<{ rated: number; remaining: number; next: string | null }>>;
  /** Never replaces a newer version by an older one. Writes nothing on an object that holds no data (kept in memory). */
  configure(call: Call, snapshot: ConfigSnapshot): Promise<{ ok: true }>;
  /** Makes this name point at `home`. An empty object becomes a stub; one with data answers `has_data` (merged in a later issue). */
  linkTo(call: Call, home: string): Promise<{ ok: true } | { ok: false; reason: "has_data" }>;
  /** What the shared store does not know yet; the edge writes it through store/. For control-plane writes. The queue may bring it again: harmless. */
  drain(call: Call): Promise<{ messages: unknown[] }>;
  /** Since when, epoch ms, something waits to be told to the shared store; null: nothing does. */
  outbox(call: Call): Promise<{ unsentSince: number | null }>;
  /** Runs every deadline that has passed at `clockMs` (sandbox clock); answers the next one. */
  settle(call: Call): Promise<{ next: number | null }>;
}
