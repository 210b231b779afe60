/**
 * The calls of rpc.ts about who an object is: which names lead to it, and its move into another object (docs/decisions/005-names-and-merges.md).
 * Rules are in core/names.ts and core/merge.ts; carrying pages is merge.ts, telling the store that nothing is left here merge-told.ts.
 */
import { ulid } from "ulid";
import { currencyInUse, draftEntry, type Account } from "../core/account";
import type { Identity } from "../core/log-entry";
import { abortMerge, beginMerge, finishMerge, isReceiving } from "../core/merge";
import { adopt, leadsTo, own, release, releasedTo, sendName } from "../core/names";
import { objectName } from "../core/object-name";
import { AccountObject, neverFirst } from "./account-object";
import { carry, hasArrived, isNext, nextOf, PAGE_LIMITS, pageFrom, readPage, takePage, type Source } from "./merge";
import { Farewell } from "./merge-told";
import { sendMessages } from "./outbox";
import { refusal } from "./refusal";
import type { Answer, Call, CustomerRpc, Imported, ObjectIdentity, Redirect, Refusal } from "./rpc";
import { sha256 } from "./sha256";

/** About half a second of both objects' time. */
const PAGES_PER_CALL = 8;
/** Some ten seconds of an alarm's 30 s of CPU; then the next alarm goes on. */
const PAGES_PER_ALARM = 200;
/** Chunks of rollups told of by one call, and by one alarm. */
const CHUNKS_PER_CALL = 200;
const CHUNKS_PER_ALARM = 5_000;
/** The home ships at once what has moved in: so often it is asked whether it has, and with what pause. */
const ASKED_MAX = 20;
const ASKED_EVERY_MS = 50;

type Moved = Answer<{ done: boolean; moved: number; total: number }>;

export abstract class NamedObject extends AccountObject {
  protected readonly pageLimits = PAGE_LIMITS;
  private readonly farewell = new Farewell(this.store, this.ctx.storage.sql);
  /** The log entry that the home takes next, as far as this instance knows; 0: the home must say. */
  private nextToMove = 0;
  /** Since when the home has everything, as far as this instance knows. */
  private arrivedAt: number | null = null;

  // ---- Names

  async identify(call: Call): Promise<Answer<{ identity: ObjectIdentity | null }>> {
    this.guard(call);
    const away = this.away(call.name);
    if (away) return away;
    return { ok: true, identity: identityOf(this.account) };
  }

  async adopt(
    call: Call,
    customer: { customerId: string; key: string | null },
  ): Promise<Answer<{ customerId: string }>> {
    const opened = this.open(call, null);
    if (!opened.ok) return opened;
    const { account, now } = opened;
    const entry = draftEntry(account, now, () => ({ ...this.newIdentity(call, now), ...customer }));
    if (adopt(account, entry, customer)) await this.commit(entry);
    return { ok: true, customerId: account.identity!.customerId };
  }

  async reserve(call: Call, customerId: string): Promise<Answer<{ identity: ObjectIdentity }>> {
    const opened = this.open(call, null);
    if (!opened.ok) return opened;
    const { account, now } = opened;
    if (!account.identity)
      await this.commit(draftEntry(account, now, () => ({ ...this.newIdentity(call, now), customerId })));
    return { ok: true, identity: identityOf(account)! };
  }

  async release(call: Call, names: readonly string[]): Promise<Answer<{ targets: Record<string, string> }>> {
    const opened = this.open(call, null);
    if (!opened.ok) return opened;
    const { account } = opened;
    const { identity } = account;
    if (!identity) return { ok: true, targets: targetsOf(names, (name) => objectName(call.namespaceId, name, sha256)) };
    const entry = this.draft(call, opened);
    const released = release(account, entry, names, (name) => this.releasedTo(identity, name));
    if (!released.ok) return refusal(released.refusal);
    if (entry.names) await this.commit(entry);
    return { ok: true, targets: targetsOf(names, (name) => leadsTo(account, name)!) };
  }

  async own(
    call: Call,
    change: { names: readonly string[]; key?: string | null },
  ): Promise<Answer<{ before: Record<string, string> }>> {
    const opened = this.open(call, null);
    if (!opened.ok) return opened;
    const { account } = opened;
    if (account.identity) {
      const entry = this.draft(call, opened);
      if (own(account, entry, change)) await this.commit(entry);
    }
    const known = change.names.filter((name) => account.names.has(name));
    return { ok: true, before: targetsOf(known, (name) => account.names.get(name)!.object) };
  }

  async linkTo(call: Call, home: string): Promise<{ ok: true } | { ok: false; reason: "has_data" } | Redirect> {
    this.guard(call);
    const { account } = this;
    const itself = this.nameOf(call);
    if (this.home !== null || account.identity === null) {
      this.pointTo(home === itself ? null : home);
      return { ok: true };
    }
    const away = this.away(call.name);
    if (home === itself || (away?.reason === "moved" && away.home === home)) return { ok: true };
    if (away === null) return { ok: false, reason: "has_data" };
    if (away.reason !== "moved" || leadsTo(account, call.name) !== null) return away;
    await this.send(call, home);
    return { ok: true };
  }

  async unlink(call: Call, target: string, home: string): Promise<Answer<{ target: string }>> {
    this.guard(call);
    const itself = this.nameOf(call);
    if (this.home !== null) {
      if (this.home === home) this.pointTo(target === itself ? null : target);
      return { ok: true, target: this.home ?? itself };
    }
    const { account } = this;
    const led = leadsTo(account, call.name);
    if (led === null && account.merge === null) return { ok: true, target: itself };
    if (led === null && !account.merge!.done) return { ok: false, reason: "merging", home: account.merge!.home };
    if ((led ?? account.merge!.home) !== home) return { ok: true, target: led ?? account.merge!.home };
    await this.send(call, target === itself ? this.releasedTo(account.identity!, call.name) : target);
    return { ok: true, target: leadsTo(account, call.name)! };
  }

  /** Where an object without data sends its name; null: nowhere. */
  private pointTo(home: string | null): void {
    if (home === this.home) return;
    this.store.pointTo(home);
    this.home = home;
  }

  /** A name whose data has moved away leads elsewhere. */
  private async send(call: Call, object: string): Promise<void> {
    const { account } = this;
    const entry = draftEntry(account, this.timeOf(call), neverFirst);
    sendName(account, entry, call.name, object);
    await this.commit(entry);
  }

  private releasedTo(identity: Identity, name: string): string {
    return releasedTo(identity, name, sha256, () => ulid());
  }

  // ---- This object moves into another

  async mergeInto(call: Call, { id, home }: { id: string; home: string }): Promise<Moved> {
    this.guard(call);
    if (this.home !== null && this.home !== home) return { ok: false, reason: "moved", home: this.home };
    const { identity, merge } = this.account;
    if (identity === null) {
      if (this.home === null) this.pointTo(home);
      return NOTHING_LEFT;
    }
    if (home === identity.object) return NOTHING_LEFT;
    if (merge !== null && merge.id !== id && merge.home !== home) return this.away(null)!;
    if (merge === null) {
      const later = await this.begin(call, id, home);
      if (later) return later;
    }
    return this.moveSome(call, PAGES_PER_CALL, CHUNKS_PER_CALL);
  }

  /** Null: it has begun. From there on this object changes nothing but by the merge. */
  private async begin(call: Call, id: string, home: string): Promise<Moved | null> {
    // Asked before anything stops; the home decides when the wallet arrives.
    const asked = await this.objectOf(home).identify({ ...this.callOf(call), name: "" });
    const { account } = this;
    if (account.merge !== null) return null;
    const { wallet, seq } = account;
    if (isReceiving(account) || (!asked.ok && asked.reason !== "moved"))
      return { ok: true, done: false, moved: 0, total: seq };
    if (asked.ok && asked.identity?.moved && currencyInUse(account) && asked.identity.currency !== wallet.currency)
      return { ok: false, reason: "currency_mismatch", wallet: asked.identity.currency, table: wallet.currency };
    const now = this.timeOf(call);
    this.settleAt(now);
    const entry = draftEntry(account, now, neverFirst);
    beginMerge(entry, { id, home });
    this.nextToMove = 0;
    await this.commit(entry);
    return null;
  }

  private async moveSome(call: Call, pages: number, chunks: number): Promise<Moved> {
    const total = this.account.merge?.through ?? 0;
    const carried = await carry(this.source(call), pages, this.nextToMove);
    if (!carried.ok) return carried.reason === "later" ? { ok: true, done: false, moved: 0, total } : carried;
    this.nextToMove = carried.done ? 0 : carried.next;
    if (!carried.done) return { ok: true, done: false, moved: Math.max(0, carried.next - 1), total };
    const done = (await this.isCounted(call)) && (await this.tellGone(chunks));
    return { ok: true, done, moved: total, total };
  }

  /** Whether the store hears from the home what has moved there. Nobody should miss it in between. */
  private async isCounted(call: Call): Promise<boolean> {
    const { merge } = this.account;
    if (!merge?.done || this.farewell.isTold) return true;
    const since = (this.arrivedAt ??= Date.now());
    for (let asked = 0; asked < ASKED_MAX; asked++) {
      const { unsentSince } = await this.objectOf(merge.home).outbox(this.callOf(call));
      if (unsentSince === null || unsentSince > since) return true;
      await scheduler.wait(ASKED_EVERY_MS);
    }
    return false;
  }

  private source(call: Call): Source {
    const change = async (decide: (entry: ReturnType<typeof draftEntry>, account: Account) => void): Promise<void> => {
      const { account } = this;
      const entry = draftEntry(account, this.timeOf(call), neverFirst);
      decide(entry, account);
      this.nextToMove = 0;
      await this.commit(entry);
    };
    return {
      account: () => this.account,
      page: (next) => pageFrom(this.store, this.account, next, this.pageLimits),
      send: (home, page) => this.objectOf(home).importPage(this.callOf(call), page),
      finish: async (home) => {
        await change((entry, account) => finishMerge(account, entry, home));
        this.arrivedAt = Date.now();
      },
      abort: () => change(abortMerge),
    };
  }

  /** Tells the store that nothing is left here; an object whose merge came to nothing has nothing to tell. */
  private async tellGone(chunks: number): Promise<boolean> {
    const { account } = this;
    if (!account.merge?.done) return true;
    const send = (messages: Parameters<typeof sendMessages>[1]) => sendMessages(this.env.RATING, messages);
    const isTold = await this.farewell.tell(account, this.configuration.meters, send, Date.now(), chunks);
    if (isTold) this.unsentSince = null;
    return isTold;
  }

  protected override async moveOn(identity: Identity): Promise<void> {
    if (!this.isMoving) return;
    const call: Call = { namespaceId: identity.namespaceId, name: identity.object, configVersion: 0 };
    if (identity.sandbox) call.clockMs = await this.clockMs(identity);
    for (let pages = 0; pages < PAGES_PER_ALARM && this.isMoving; pages += PAGES_PER_CALL) {
      const moved = await this.moveSome(call, PAGES_PER_CALL, CHUNKS_PER_ALARM);
      // What came to nothing is the caller's to ask for again.
      if (!moved.ok || moved.done || this.account.merge === null) return;
    }
    if (this.isMoving) this.goOn();
  }

  protected override get isMoving(): boolean {
    const { merge } = this.account;
    return merge !== null && !(merge.done && this.farewell.isTold);
  }

  // ---- Another object moves into this one

  async importPage(call: Call, pageJson: string): Promise<Imported> {
    this.guard(call);
    const page = readPage(pageJson);
    // Whoever arrived before this object moved on itself may ask again; whoever had not is sent on.
    const before = nextOf(this.account, page.merge);
    if (before !== 0 && !isNext(this.account, page)) return { ok: true, next: before };
    const opened = this.open({ ...call, configVersion: 0 }, null);
    if (!opened.ok) return opened;
    const { account, now } = opened;
    if (!isNext(account, page)) return { ok: true, next: nextOf(account, page.merge) };
    const key = page.kind === "begin" ? page.key : null;
    const entry = draftEntry(account, now, () => ({ ...this.newIdentity(call, now), key }));
    const refused: Refusal | null = takePage(this.store, account, entry, page);
    if (refused) return refused;
    await this.commit(entry);
    // The store should not hear from the source that it is empty long before it hears from here what has come.
    if (hasArrived(account, page.merge)) this.goOn(0);
    return { ok: true, next: nextOf(account, page.merge) };
  }

  /** As another object is asked. */
  private callOf({ namespaceId, name, clockMs }: Call): Call {
    return { namespaceId, name, configVersion: 0, ...(clockMs !== undefined && { clockMs }) };
  }

  private objectOf(name: string): CustomerRpc {
    // The stub's own type wraps every answer for stubs and disposal; ours are plain data.
    return this.env.CUSTOMER.getByName(name) as unknown as CustomerRpc;
  }
}

const NOTHING_LEFT = { ok: true, done: true, moved: 0, total: 0 } as const;

function identityOf(account: Account): ObjectIdentity | null {
  const { identity, wallet, declared } = account;
  if (!identity) return null;
  const { customerId, key, object } = identity;
  return { customerId, key, object, declared, currency: wallet.currency, moved: currencyInUse(account) };
}

const targetsOf = (names: readonly string[], object: (name: string) => string): Record<string, string> =>
  Object.fromEntries(names.map((name) => [name, object(name)]));
