/**
 * A customer's Durable Object: the one writer of everything the customer owns. Each call is load ► decide ► append one log
 * row ► answer, with nothing awaited in between; the answer leaves when the row is durable (output gate).
 * Rules are in core/, storage in account-store.ts, waking, appending and the alarm in account-object.ts; here are the calls of rpc.ts.
 */
import { ulid } from "ulid";
import {
  correctEvent,
  forgetRated,
  grantCredits,
  mayTake,
  nextDue,
  patchWallet,
  rateFor,
  rateLater,
  recordEvent,
  takeBackGrant,
  tableOf,
  trackEvent,
  type Account,
} from "../core/account";
import type { CorrectionMark } from "../core/archive-line";
import { wasTracked } from "../core/correction";
import { decimal, formatDecimal } from "../core/decimal";
import { eventKey, type UsageEvent } from "../core/event";
import { parseExact, readExact } from "../core/exact-json";
import { answerTo, operationsIn } from "../core/imported";
import { needsEvents, queryFolds } from "../core/fold-query";
import type { LogEntry } from "../core/log-entry";
import type { QueryPart } from "../core/query-part";
import { TIME_INDEX } from "../core/refold";
import { unratedAfter, type EventRef } from "../core/unrated";
import { askedUsage, sameUsage, trackedUsage, type Asked } from "../core/tracked";
import { eventUsage } from "../core/usage";
import { costView, grantView, walletView, type GrantView, type WalletView } from "../core/views";
import type { RatingMessage } from "../schema/messages";
import { operationKey } from "./account-store";
import type { Opened } from "./account-object";
import { CountedObject } from "./counted-object";
import { amended, marksIn, recordedEvent } from "./corrections";
import { DEDUP_KEYS_MAX } from "./dedup-index";
import { foldSource } from "./fold-queries";
import { transactionsPage, verifySlice, type Page } from "./history";
import { ratingMessages } from "./outbox";
import { FOLDED_FOR_EVER } from "./merge-told";
import { invalid, refusal } from "./refusal";
import type {
  Answer,
  Call,
  ConfigSnapshot,
  CorrectionView,
  CostView,
  CustomerRpc,
  Refusal,
  TrackCommand,
  TransactionView,
} from "./rpc";

/** Events looked at by one `rateUnrated` call. */
const RATE_SLICE = 1_000;
const AT_BOUND: Refusal = {
  ok: false,
  reason: "at_bound",
  detail: `a customer holds at most ${DEDUP_KEYS_MAX} events; send further ones under another subject`,
};

export class Customer extends CountedObject implements CustomerRpc {
  // ---- Facts and enforced calls

  async record(
    call: Call,
    eventsJson: string,
    plain: boolean,
  ): Promise<Answer<{ recorded: number; duplicates: number }>> {
    const opened = this.open(call);
    if (!opened.ok) return opened;
    const events = (plain ? JSON.parse(eventsJson) : parseExact(eventsJson)) as UsageEvent[];
    const { room } = this.store;
    if (events.length > room && this.store.unknown(events) > room) return AT_BOUND;
    const fresh = this.store.claim(events);
    const duplicates = events.length - fresh.length;
    if (fresh.length > 0) {
      const entry = this.decideFacts(call, opened, fresh);
      await this.commit(entry, {
        eventsJson: duplicates === 0 ? eventsJson : undefined,
        plain,
        claimed: true,
      });
    }
    return { ok: true, recorded: fresh.length, duplicates };
  }

  /** A decision that fails has changed the account and claimed the events' keys: memory is read back. */
  private decideFacts(call: Call, opened: Opened, events: readonly UsageEvent[]): LogEntry {
    try {
      const entry = this.draft(call, opened);
      for (const event of events) recordEvent(opened.account, entry, event, this.configuration.rating);
      return entry;
    } catch (error) {
      this.store.forget();
      throw error;
    }
  }

  async track(
    call: Call,
    { eventJson, enforce }: TrackCommand,
  ): Promise<Answer<{ eventId: string; duplicate: boolean; cost: CostView | null; wallet: WalletView }>> {
    const opened = this.open(call);
    if (!opened.ok) return opened;
    const { account } = opened;
    const { value, plain } = readExact(eventJson);
    const event = value as UsageEvent;
    const usage = trackedUsage(event);
    if (!usage.ok) return invalid(`${usage.refusal.field}: ${usage.refusal.detail}`);
    const known = this.store.find(eventKey(event.source, event.id));
    if (known) return this.trackedBefore(call, account, event, known);
    if (this.store.room < 1) return AT_BOUND;
    const entry = this.draft(call, opened);
    const tracked = trackEvent(account, entry, { event, usage: usage.value, enforce }, this.configuration.rating);
    if (!tracked.ok) return refusal(tracked.refusal);
    const wallet = walletView(account, call.name, entry.identity);
    const cost = tracked.value && costView(tracked.value);
    entry.answer = { wallet };
    await this.commit(entry, { eventsJson: `[${eventJson}]`, plain });
    return { ok: true, eventId: event.id, duplicate: false, cost, wallet };
  }

  /** The original answer of a repeated event. One that came by /events had none: its cost, and the wallet as it is. */
  private trackedBefore(
    call: Call,
    account: Account,
    event: UsageEvent,
    known: EventRef,
  ): Answer<{ eventId: string; duplicate: boolean; cost: CostView | null; wallet: WalletView }> {
    const entry = this.store.entry(known.seq);
    const original = entry.events[known.index];
    if (!original || !sameUsage(original, event)) {
      return {
        ok: false,
        reason: "idempotency_conflict",
        detail:
          "this source and id were used for another feature, provider, model or usage; give each event an id of its own",
      };
    }
    const rated = entry.rated.find(({ of, index }) => of === undefined && index === known.index);
    const answer = answerTo(entry, known.index) as { wallet: WalletView } | undefined;
    return {
      ok: true,
      eventId: event.id,
      duplicate: true,
      cost: rated ? costView(rated.cost) : null,
      wallet: answer?.wallet ?? walletView(account, call.name),
    };
  }

  async check(
    call: Call,
    usageJson: string,
  ): Promise<
    Answer<{
      allowed: boolean;
      denial: null | "insufficient-credits" | "unpriced-usage" | "wallet-frozen";
      cost: CostView | null;
      wallet: WalletView;
    }>
  > {
    const opened = this.open(call);
    if (!opened.ok) return opened;
    const usage = askedUsage(parseExact(usageJson) as Asked);
    if (!usage.ok) return invalid(`${usage.refusal.field}: ${usage.refusal.detail}`);
    const { account } = opened;
    const wallet = walletView(account, call.name);
    const rated = rateFor(account, usage.value, opened.now, this.configuration.rating);
    if (!rated.ok) {
      if (rated.refusal.reason === "currency_mismatch") return refusal(rated.refusal);
      return { ok: true, allowed: false, denial: "unpriced-usage", cost: null, wallet };
    }
    const allowed = mayTake(account, rated.value.amount);
    const denial = allowed.ok
      ? null
      : allowed.refusal.reason === "wallet_frozen"
        ? "wallet-frozen"
        : "insufficient-credits";
    return { ok: true, allowed: allowed.ok, denial, cost: costView(rated.value), wallet };
  }

  async quote(call: Call, usageJson: string): Promise<Answer<{ cost: CostView }>> {
    const opened = this.open(call);
    if (!opened.ok) return opened;
    const asked = parseExact(usageJson) as Asked & { time?: number };
    const usage = askedUsage(asked);
    if (!usage.ok) return invalid(`${usage.refusal.field}: ${usage.refusal.detail}`);
    const rated = rateFor(opened.account, usage.value, asked.time ?? opened.now, this.configuration.rating);
    return rated.ok ? { ok: true, cost: costView(rated.value) } : refusal(rated.refusal);
  }

  // ---- Wallet

  async wallet(call: Call): Promise<Answer<{ wallet: WalletView }>> {
    const opened = this.open(call);
    return opened.ok ? { ok: true, wallet: walletView(opened.account, call.name) } : opened;
  }

  async patchWallet(
    call: Call,
    patch: Parameters<CustomerRpc["patchWallet"]>[1],
  ): Promise<Answer<{ wallet: WalletView }>> {
    const opened = this.open(call);
    if (!opened.ok) return opened;
    const entry = this.draft(call, opened);
    const patched = patchWallet(
      opened.account,
      entry,
      {
        ...(patch.overdraftLimit !== undefined && { overdraftLimit: decimal(patch.overdraftLimit) }),
        ...(patch.currency !== undefined && { currency: patch.currency }),
        ...(patch.burnTable !== undefined && { burnTable: patch.burnTable }),
        ...(patch.status !== undefined && { frozen: patch.status === "FROZEN" }),
      },
      this.configuration.rating,
    );
    if (!patched.ok) return refusal(patched.refusal);
    await this.commit(entry);
    return { ok: true, wallet: walletView(opened.account, call.name) };
  }

  async grant(
    call: Call,
    op: Parameters<CustomerRpc["grant"]>[1],
  ): Promise<Answer<{ grant: GrantView; duplicate: boolean }>> {
    const opened = this.open(call);
    if (!opened.ok) return opened;
    const repeated = this.answerOf<{ grant: GrantView }>(op.opId, op.bodyHash);
    if (repeated) return repeated.ok ? { ...repeated, duplicate: true } : repeated;
    const entry = this.draft(call, opened);
    entry.op = { id: op.opId, bodyHash: op.bodyHash };
    const granted = grantCredits(opened.account, entry, {
      ...op,
      id: op.id ?? ulid(entry.at),
      amount: decimal(op.amount),
    });
    if (!granted.ok) return refusal(granted.refusal);
    const grant = grantView(granted.value, entry.at);
    entry.answer = { grant };
    await this.commit(entry);
    return { ok: true, grant, duplicate: false };
  }

  async voidGrant(call: Call, grantId: string): Promise<Answer<{ grant: GrantView }>> {
    const opened = this.open(call);
    if (!opened.ok) return opened;
    const known = opened.account.wallet.grants.get(grantId);
    if (known && known.voidedAt !== null) return { ok: true, grant: grantView(known, opened.now) };
    const entry = this.draft(call, opened);
    const voided = takeBackGrant(opened.account, entry, grantId);
    if (!voided.ok) return refusal(voided.refusal);
    await this.commit(entry);
    return { ok: true, grant: grantView(voided.value, entry.at) };
  }

  async grants(
    call: Call,
    { cursor, limit }: { cursor: string | null; limit: number },
  ): Promise<Answer<Page<GrantView>>> {
    const opened = this.open(call);
    if (!opened.ok) return opened;
    const newestFirst = [...opened.account.wallet.grants.values()].toReversed();
    const start = cursor === null ? 0 : newestFirst.findIndex(({ id }) => id === cursor) + 1;
    if (start === 0 && cursor !== null)
      return invalid("cursor: no grant of this wallet; use the nextCursor of the page before");
    const items = newestFirst.slice(start, start + limit).map((grant) => grantView(grant, opened.now));
    return { ok: true, items, nextCursor: start + limit < newestFirst.length ? (items.at(-1)?.id ?? null) : null };
  }

  async transactions(
    call: Call,
    { cursor, limit }: { cursor: string | null; limit: number },
  ): Promise<Answer<Page<TransactionView>>> {
    const opened = this.open(call);
    if (!opened.ok) return opened;
    const page = transactionsPage(this.store, opened.account, cursor, limit);
    return page
      ? { ok: true, ...page }
      : invalid("cursor: no transaction of this wallet; use the nextCursor of the page before");
  }

  async verify(call: Call, from: string | null): ReturnType<CustomerRpc["verify"]> {
    const opened = this.open(call);
    return opened.ok ? { ok: true, ...verifySlice(this.store, opened.account, from) } : opened;
  }

  async rateUnrated(
    call: Call,
    slice: { from: number | null; to: number | null; after: string | null },
  ): Promise<Answer<{ rated: number; remaining: number; next: string | null }>> {
    const opened = this.open(call);
    if (!opened.ok) return opened;
    const { account } = opened;
    const { rating } = this.configuration;
    const refs = unratedAfter(
      account.unrated,
      slice.after === null ? null : (JSON.parse(slice.after) as EventRef),
      RATE_SLICE,
    );
    const entry = this.draft(call, opened);
    for (const late of this.eventsAt(refs)) {
      const { event } = late;
      if (event.time < (slice.from ?? -Infinity) || event.time >= (slice.to ?? Infinity)) continue;
      const usage = late.tracked ? trackedUsage(event) : null;
      const found = usage ? (usage.ok ? usage.value : null) : eventUsage(event, tableOf(account, event.time, rating));
      if (found) rateLater(account, entry, { ...late, usage: found }, rating);
    }
    forgetRated(account, entry);
    if (entry.rated.length > 0) await this.commit(entry);
    const last = refs.at(-1);
    const next = last && refs.length === RATE_SLICE ? JSON.stringify(last) : null;
    return { ok: true, rated: entry.rated.length, remaining: account.unrated.count, next };
  }

  /** The events at these places, each log entry read once; `tracked`: it came by /track, so its type is its feature. */
  private *eventsAt(refs: readonly EventRef[]): Generator<EventRef & { event: UsageEvent; tracked: boolean }> {
    let entry: LogEntry | null = null;
    for (const ref of refs) {
      if (entry?.seq !== ref.seq) entry = this.store.entry(ref.seq);
      const event = entry.events[ref.index];
      if (event) yield { ...ref, event, tracked: wasTracked(entry, ref.index) };
    }
  }

  async correct(call: Call, asked: Parameters<CustomerRpc["correct"]>[1]): Promise<Answer<CorrectionView>> {
    const opened = this.open(call);
    if (!opened.ok) return opened;
    const { account } = opened;
    const repeated = asked.opId === null ? null : this.answerOf<CorrectionView>(asked.opId, asked.bodyHash);
    if (repeated) return repeated;
    const recorded = recordedEvent(this.store, account, asked);
    if (!recorded.ok) return refusal(recorded.refusal);
    // The minute that it leaves is counted again from the log.
    const folding = this.foldedOrRefuse(TIME_INDEX);
    if (folding) return folding;
    const { event } = recorded.value;
    const version = asked.version && amended(event, asked.version);
    const entry = this.draft(call, opened);
    const corrected = correctEvent(account, entry, recorded.value, version, asked.reason, this.configuration.rating);
    if (!corrected.ok) return refusal(corrected.refusal);
    const { before, cost, adjustment } = corrected.value;
    const answer: CorrectionView = {
      subject: event.subject,
      before: formatDecimal(before),
      after: formatDecimal(cost?.amount ?? 0n),
      adjustment: formatDecimal(adjustment),
      unrated: entry.unrated.length > 0,
      wallet: walletView(account, call.name),
    };
    if (asked.opId !== null) Object.assign(entry, { op: { id: asked.opId, bodyHash: asked.bodyHash }, answer });
    await this.commit(entry);
    return { ok: true, ...answer };
  }

  async correctionsIn(call: Call, seqs: readonly number[]): Promise<CorrectionMark[]> {
    this.guard(call);
    return marksIn(this.store, this.account, seqs);
  }

  // ---- Meters

  async queryMeter(
    call: Call,
    { foldKey, query, alone }: Parameters<CustomerRpc["queryMeter"]>[1],
  ): Promise<Answer<{ part: QueryPart }>> {
    const opened = this.open(call);
    if (!opened.ok) return opened;
    if (opened.account.identity === null) return { ok: true, part: { rows: [] } };
    const { meters } = this.configuration;
    const meter = meters.meters.get(foldKey);
    if (!meter) return { ok: false, reason: "unknown_meter" };
    const folding = this.foldedOrRefuse(foldKey) ?? (needsEvents(query) ? this.foldedOrRefuse(TIME_INDEX) : null);
    if (folding) return folding;
    const part = queryFolds(foldSource(this.store), meters, meter, query, { alone });
    return part.ok ? { ok: true, part: part.value } : { ok: false, ...part.refusal };
  }

  // ---- Configuration, names, projections, the clock

  async configure(call: Call, snapshot: ConfigSnapshot): Promise<{ ok: true }> {
    this.guard(call);
    this.reconfigure(snapshot);
    return { ok: true };
  }

  async drain(call: Call): Promise<{ messages: RatingMessage[] }> {
    this.guard(call);
    if (this.account.merge?.done)
      return { messages: ratingMessages(this.account, [], this.timeOf(call), FOLDED_FOR_EVER) };
    const opened = this.open(call, null);
    return { messages: opened.ok ? ratingMessages(opened.account, [], opened.now, this.store.counts.toldVersion) : [] };
  }

  async outbox(call: Call): Promise<{ unsentSince: number | null }> {
    this.guard(call);
    return { unsentSince: this.unsentSince };
  }

  async archiveFrom(call: Call, after: number): Promise<void> {
    this.guard(call);
    this.archiveAgain(after);
  }

  async settle(call: Call): Promise<{ next: number | null }> {
    const opened = this.open(call, null);
    return { next: opened.ok ? nextDue(opened.account) : null };
  }

  /** What an operation answered when it was new; null: it is new now. */
  private answerOf<T>(opId: string, bodyHash: string): ({ ok: true } & T) | Refusal | null {
    const known = this.store.find(operationKey(opId));
    if (!known) return null;
    const operation = operationsIn(this.store.entry(known.seq))[known.index];
    if (operation?.bodyHash === bodyHash) return { ok: true, ...(operation.answer as T) };
    return {
      ok: false,
      reason: "idempotency_conflict",
      detail: "this idempotency key or id was used with another body; use a new one for another operation",
    };
  }
}
