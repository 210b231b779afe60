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
  patchWallet,
  rateFor,
  rateLater,
  recordEvent,
  takeBackGrant,
  tableOf,
  trackEvent,
  type Account,
} from "../core/account";
import { wasTracked } from "../core/correction";
import { decimal, formatDecimal } from "../core/decimal";
import { eventKey, type UsageEvent } from "../core/event";
import { parseExact } from "../core/exact-json";
import type { LogEntry } from "../core/log-entry";
import { unratedAfter, type EventRef } from "../core/unrated";
import { askedUsage, sameUsage, trackedUsage, type Asked } from "../core/tracked";
import { eventUsage } from "../core/usage";
import { costView, grantView, walletView, type GrantView, type WalletView } from "../core/views";
import { nextDeadline } from "../core/wallet";
import type { RatingMessage } from "../schema/messages";
import { AccountObject } from "./account-object";
import { operationKey } from "./account-store";
import { amended, recordedEvent } from "./corrections";
import { DEDUP_KEYS_MAX } from "./dedup-index";
import { transactionsPage, verifySlice, type Page } from "./history";
import { ratingMessages } from "./outbox";
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

export class Customer extends AccountObject implements CustomerRpc {
  // ---- Facts and enforced calls

  async record(
    call: Call,
    eventsJson: string,
    plain: boolean,
  ): Promise<Answer<{ recorded: number; duplicates: number }>> {
    const opened = this.open(call);
    if (!opened.ok) return opened;
    const events = (plain ? JSON.parse(eventsJson) : parseExact(eventsJson)) as UsageEvent[];
    const fresh = this.unrecorded(events);
    const duplicates = events.length - fresh.size;
    if (fresh.size > this.store.room) return AT_BOUND;
    if (fresh.size > 0) {
      const entry = this.draft(call, opened);
      for (const event of fresh.values()) recordEvent(opened.account, entry, event, this.configuration.rating);
      await this.commit(entry, { eventsJson: duplicates === 0 ? eventsJson : undefined, keys: [...fresh.keys()] });
    }
    return { ok: true, recorded: fresh.size, duplicates };
  }

  async track(
    call: Call,
    { eventJson, enforce }: TrackCommand,
  ): Promise<Answer<{ eventId: string; duplicate: boolean; cost: CostView | null; wallet: WalletView }>> {
    const opened = this.open(call);
    if (!opened.ok) return opened;
    const { account } = opened;
    const event = parseExact(eventJson) as UsageEvent;
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
    await this.commit(entry, { eventsJson: `[${eventJson}]` });
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
    const answer = entry.answer as { wallet: WalletView } | undefined;
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

  // ---- Configuration, names, projections, the clock

  async configure(call: Call, snapshot: ConfigSnapshot): Promise<{ ok: true }> {
    this.guard(call);
    const written = this.account.identity !== null;
    // Folds are as of a checkpoint: what other meters would fold of the log behind it was folded under these.
    if (written && snapshot.version > this.configuration.version) this.store.checkpoint();
    this.configuration.offer(snapshot);
    if (written) this.configuration.save(this.store.state);
    return { ok: true };
  }

  async linkTo(call: Call, home: string): Promise<{ ok: true } | { ok: false; reason: "has_data" }> {
    this.guard(call);
    if (this.home === home) return { ok: true };
    if (this.account.identity) return { ok: false, reason: "has_data" };
    this.store.makeStub(home);
    this.home = home;
    return { ok: true };
  }

  async drain(call: Call): Promise<{ messages: RatingMessage[] }> {
    const opened = this.open(call);
    return { messages: opened.ok ? ratingMessages(opened.account, [], opened.now) : [] };
  }

  async outbox(call: Call): Promise<{ unsentSince: number | null }> {
    this.guard(call);
    return { unsentSince: this.unsentSince };
  }

  async settle(call: Call): Promise<{ next: number | null }> {
    const opened = this.open(call);
    return { next: opened.ok ? nextDeadline(opened.account.wallet) : null };
  }

  /** What an operation answered when it was new; null: it is new now. */
  private answerOf<T>(opId: string, bodyHash: string): ({ ok: true } & T) | Refusal | null {
    const known = this.store.find(operationKey(opId));
    if (!known) return null;
    const { op, answer } = this.store.entry(known.seq);
    if (op?.bodyHash === bodyHash) return { ok: true, ...(answer as T) };
    return {
      ok: false,
      reason: "idempotency_conflict",
      detail: "this idempotency key or id was used with another body; use a new one for another operation",
    };
  }

  /** The events that are new, by key: not recorded before, and the first of their key in this batch. */
  private unrecorded(events: readonly UsageEvent[]): Map<string, UsageEvent> {
    const fresh = new Map<string, UsageEvent>();
    for (const event of events) {
      const key = eventKey(event.source, event.id);
      if (!fresh.has(key) && !this.store.find(key)) fresh.set(key, event);
    }
    return fresh;
  }
}
