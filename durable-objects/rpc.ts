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
  | { ok: false; reason: "moved"; home: string }
  /** Its data is moving into `home`: wait a little and ask again. */
  | { ok: false; reason: "merging"; home: string };

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
  /** A meter's folds are being made from the log: asking again goes on with it. `done` of `total` log entries. */
  | { ok: false; reason: "folding"; done: number; total: number }
  /** The object is at a documented bound (docs/limits.md). */
  | { ok: false; reason: "at_bound"; detail: string };

export type Answer<T> = ({ ok: true } & T) | Refusal | Redirect;

export type { CostView, GrantView, TransactionView, WalletView } from "../core/views";

/** Who an object is. */
export interface ObjectIdentity {
  customerId: string;
  key: string | null;
  /** Its object name. */
  object: string;
  /** A customer: made by the API, a track, a grant or a wallet's settings, and not by events alone. */
  declared: boolean;
  currency: string;
  /** The wallet has moved, so its currency is fixed. */
  moved: boolean;
}

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
  // ---- Names: who an object is, and which names lead to it (docs/decisions/005-names-and-merges.md)

  /** Who this object is; null: nothing was ever written here. Reads only. */
  identify(call: Call): Promise<Answer<{ identity: ObjectIdentity | null }>>;
  /**
   * Makes this object the home of a customer that the API made: declared, with this key. An object without identity takes `customerId`,
   * one that has events keeps its own; the answer says which. Keyed by the customer's id: a repeat changes nothing.
   */
  adopt(call: Call, customer: { customerId: string; key: string | null }): Promise<Answer<{ customerId: string }>>;
  /**
   * Asked of a home: these names are no longer this customer's. From now on calls by such a name are answered `moved`, to the name's own
   * object, or, for the name that this object itself is called by, to a fresh one. The past stays. Repeats answer the same targets.
   */
  release(call: Call, names: readonly string[]): Promise<Answer<{ targets: Record<string, string> }>>;
  /** Asked of a home: these names are this customer's (again), and its key is this. Undoes `release`. */
  own(call: Call, change: { names: readonly string[]; key?: string | null }): Promise<Answer<object>>;
  /** Asked of a stub: it points to `target` from now on, or, when that is its own object name, is an ordinary empty object again. */
  unlink(call: Call, target: string): Promise<Answer<object>>;
  /**
   * Asked of an object with data whose name became another customer's: journals that it moves into `home`, and moves a bounded piece.
   * Call again until `done`; the alarm goes on by itself. Calls by its names are answered `merging` until then, `moved` afterwards.
   */
  mergeInto(
    call: Call,
    merge: { id: string; home: string },
  ): Promise<Answer<{ done: boolean; moved: number; total: number }>>;

  // ---- Folds made from the log

  /** Goes on with folds that new meters need (a slice), and says how far it is; null: nothing is left. */
  refold(call: Call): Promise<Answer<{ left: { done: number; total: number } | null }>>;

  /** Runs every deadline that has passed at `clockMs` (sandbox clock); answers the next one. */
  settle(call: Call): Promise<{ next: number | null }>;
}
