/**
 * What the edge may ask of a customer's object, and what it answers. Types only; the class is customer.ts.
 * Everything crosses as plain data with decimals as canonical strings (structured clone and JSON both carry them exactly).
 * Expected refusals are values with `ok: false`; a rejected promise is a bug or the platform.
 */
import type { CorrectionMark } from "../core/archive-line";
import type { BurnTable, DefaultTable } from "../core/burn-table";
import type { Stored } from "../core/decimal";
import type { EventQuery, ListedEvent } from "../core/event-listing";
import type { Meter } from "../core/meter";
import type { MeterQuery } from "../core/meter-query";
import type { QueryPart } from "../core/query-part";
import type { FoldProgress } from "../core/refold";
import type { RollupTotal } from "../core/rollup";
import type { CostView, GrantView, TransactionView, WalletView } from "../core/views";
import type { RatingMessage } from "../schema/messages";

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
  | { ok: false; reason: "unknown_event" | "already_voided"; detail: string }
  | { ok: false; reason: "unknown_burn_table"; detail: string }
  | { ok: false; reason: "invalid"; detail: string }
  /** The object's configuration has no such meter: it was changed or deleted just now. */
  | { ok: false; reason: "unknown_meter" }
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

export interface CorrectionView {
  /** The event's own subject. */
  subject: string;
  /** What the event cost, and costs now. */
  before: string;
  after: string;
  adjustment: string;
  /** No rule prices the event as it is now. */
  unrated: boolean;
  wallet: WalletView;
}

/** What a home says to a page: which log entry of the source it takes next. One that it has already changes nothing. */
export type Imported = { ok: true; next: number } | Refusal | Redirect;

export interface AuditSlice {
  /** Where to go on; null: done. */
  next: string | null;
  /** Log entries read, of all that must be. */
  done: number;
  total: number;
  /** By meter and group, as folded: each meter's come once, with the slice that has counted it again. */
  totals: RollupTotal[];
  /** When done: what there is, and what is wrong. Null while it goes on. */
  report: {
    /** null: nothing was ever written here. */
    object: string | null;
    customerId: string | null;
    epoch: string | null;
    seq: number;
    /** Accepted ones; an event that was corrected counts once. */
    events: number;
    /** Sentences; none: everything agrees. */
    differences: string[];
  } | null;
}

export interface FoldedPage {
  messages: RatingMessage[];
  page: string | null;
  foldedVersion: number;
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
  /** What the shared store does not know yet; the edge writes it through store/. For control-plane writes. The queue may bring it again: harmless. */
  drain(call: Call): Promise<{ messages: unknown[] }>;
  /** Since when, epoch ms, something waits to be told to the shared store; null: nothing does. */
  outbox(call: Call): Promise<{ unsentSince: number | null }>;
  // ---- Corrections

  /** Voids the event of this source and id (`version` null), or replaces its data or time or both. Keyed where `opId` is given. */
  correct(
    call: Call,
    correction: {
      source: string;
      id: string;
      reason: string;
      /** `dataJson`: the new data as JSON text, so that numbers stay exact. */
      version: { dataJson?: string; time?: number } | null;
      opId: string | null;
      bodyHash: string;
    },
  ): Promise<Answer<CorrectionView>>;
  /** What these log entries corrected, for the archive. Asked of the object that wrote them, whoever owns its names now. */
  correctionsIn(call: Call, seqs: readonly number[]): Promise<CorrectionMark[]>;
  /** Sends what comes after this log entry to the archive again. Asked of the object that wrote it, whoever owns its names now. */
  archiveFrom(call: Call, after: number): Promise<void>;

  // ---- Names: who an object is, and which names lead to it (docs/decisions/005-names-and-merges.md)

  /** Who this object is; null: nothing was ever written here. Reads only, and needs no configuration. */
  identify(call: Call): Promise<Answer<{ identity: ObjectIdentity | null }>>;
  /**
   * Who this object is; one without identity takes this customer id now, and is no customer by that alone. Before a customer is made over
   * it, so that the id is certain whoever else writes here meanwhile.
   */
  reserve(call: Call, customerId: string): Promise<Answer<{ identity: ObjectIdentity }>>;
  /**
   * Makes this object the home of a customer that the API made: declared, with this key. An object without identity takes `customerId`,
   * one that has events keeps its own; the answer says which. Keyed by the customer's id: a repeat changes nothing.
   */
  adopt(call: Call, customer: { customerId: string; key: string | null }): Promise<Answer<{ customerId: string }>>;
  /**
   * Asked of a home: these names are no longer this customer's. From now on calls by such a name are answered `moved`, to the name's own
   * object, or, for the name that this object itself is called by, to a fresh one. The past stays. Repeats answer the same targets.
   * To take a name away: first `unlink` its own object if that is another one, then `release` it here, so that no name runs in a circle.
   */
  release(call: Call, names: readonly string[]): Promise<Answer<{ targets: Record<string, string> }>>;
  /**
   * Asked of a home: these names are this customer's (again), and its key is this. Undoes `release`; `before` says which object each name
   * that had been released led to: it may have data by now, so `linkTo` (and merge) it. Repeat it with the same names until that is done.
   */
  own(
    call: Call,
    change: { names: readonly string[]; key?: string | null },
  ): Promise<Answer<{ before: Record<string, string> }>>;
  /**
   * Makes this object's name point at `home`: asked of the object that the name leads to, by the name, not through a remembered hint.
   * An empty object and a stub point there from now on, `home` itself answers ok; one with data answers `has_data`: `mergeInto`. `moved`:
   * the name was taken from here, ask the object it leads to.
   */
  linkTo(call: Call, home: string): Promise<{ ok: true } | { ok: false; reason: "has_data" } | Redirect>;
  /**
   * Asked of a name's own object: this name no longer leads to the home it points to. A stub is an ordinary empty object again (or points
   * to another `target`); one whose data was merged, or that released the name to the home, sends the name to a fresh object. Answers the
   * object that the name leads to now; an object that points nowhere, or no longer to `home`, changes nothing.
   */
  unlink(call: Call, target: string, home: string): Promise<Answer<{ target: string }>>;
  /**
   * Asked of an object with data whose name became another customer's: journals that it moves into `home`, and moves a bounded piece.
   * Call again until `done`; the alarm goes on by itself. Calls by its names are answered `merging` until then, `moved` afterwards. `done`:
   * everything is in the home and the store has been told (through the queue) that this object is empty; the home's own totals
   * follow with its outbox. `done: false` with `moved` 0 may mean that it waits for another merge of these objects: ask again later.
   * Refused before anything is moved: `currency_mismatch`, `at_bound`.
   */
  mergeInto(
    call: Call,
    merge: { id: string; home: string },
  ): Promise<Answer<{ done: boolean; moved: number; total: number }>>;
  /** Between objects: a page of what moves in from `mergeInto` (core/merge.ts `MergePage`, as exact JSON text). */
  importPage(call: Call, pageJson: string): Promise<Imported>;

  // ---- Folds made from the log

  /** Goes on with folds that new meters need (a slice), and says how far it is; null: nothing is left. */
  refold(call: Call): Promise<Answer<{ left: FoldProgress | null }>>;
  /**
   * The rollups that the store must have before it may believe this object's folds whole, page by page (workers/fold-object.ts): write
   * each page (rating messages) before asking with its `page`, which says that it is written; `take` false says so and takes no other.
   * `page` null: everything is written, and the store may note that it is whole for `foldedVersion`. `folding` while `refold` has something
   * left, or somebody else has a page. Until then none of it goes through the queue, which keeps no order.
   */
  foldedRollups(call: Call, asked: { written: string | null; take: boolean }): Promise<Answer<FoldedPage>>;
  /** Drops all folds, makes them again from the log and ships all rollups under a new epoch: call `refold` and `foldedRollups` next. */
  rebuild(call: Call): Promise<Answer<{ epoch: string | null }>>;
  /**
   * Counts the log again, beside the folds, and compares: a slice a call; call again with `next` until it is null, which comes with the
   * report. Reads only. An object that forgot what it had counted begins anew. `folding` while `refold` has something left.
   */
  audit(call: Call, from: string | null): Promise<Answer<AuditSlice>>;

  // ---- Meters

  /**
   * What this object knows of a query of a meter, by its fold key. `alone`: no other object is asked, so that of distinct values their
   * number is enough. `folding` while the meter's folds are made from the log; `at_bound` when there is no answer.
   */
  queryMeter(
    call: Call,
    ask: { foldKey: string; query: MeterQuery; alone: boolean },
  ): Promise<Answer<{ part: QueryPart }>>;

  // ---- Events

  /**
   * Events in the listing's order (core/event-listing.ts). Fewer than asked for with a `resume`: so much work is enough for one call, ask
   * again with it for the rest; without: there are no more.
   */
  listEvents(call: Call, query: EventQuery): Promise<Answer<{ items: ListedEvent[]; resume: string | null }>>;

  /** Runs every deadline that has passed at `clockMs` (sandbox clock); answers the next one. */
  settle(call: Call): Promise<{ next: number | null }>;
}
