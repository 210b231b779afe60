/**
 * The machinery of a customer's object: it reads what an instance has forgotten, gives a call the account to decide on, appends
 * the entry it decided, and does from the alarm what can be made again from the log. No call of rpc.ts and no rule is here.
 */
import { DurableObject } from "cloudflare:workers";
import { ulid } from "ulid";
import { draftEntry, isDue, nextDue, settleInto, type Account } from "../core/account";
import { makeTag } from "../core/journal";
import { leadsTo } from "../core/names";
import type { Identity, LogEntry } from "../core/log-entry";
import { objectName } from "../core/object-name";
import type { FoldProgress } from "../core/refold";
import { MINUTE_RETENTION_MS } from "../core/rollup";
import { AccountStore, type Known } from "./account-store";
import { ArchiveOutbox } from "./archive-outbox";
import { Configuration } from "./configuration";
import { ratingMessages, sendMessages } from "./outbox";
import type { Call, ConfigSnapshot, Redirect, Refusal } from "./rpc";
import { sha256 } from "./sha256";
import { WakeUps } from "./wake-ups";

/** Chores start this long after a write, so that a burst of calls shares them. */
const CHORES_DELAY_MS = 500;
/** After a failed alarm: long enough not to spin, short enough to keep the rollups fresh. */
const RETRY_DELAY_MS = 5_000;
/** Rollups taken at once: two full messages. */
const SHIP_BYTES_MAX = 200_000;
/** More than a log of the documented bound ever needs at once; then the next alarm goes on. */
const TIDY_STEPS_MAX = 10_000;
/** Steps that count the log for new meters: some seconds of an alarm's 30 s of CPU; then the next alarm goes on. */
const FOLD_STEPS_PER_ALARM = 200;
/** … and those of a call that asks for such a meter: 50,000 events, about a tenth of a second. */
const FOLD_STEPS_PER_CALL = 5;
/** What a call decides on. */
export interface Opened {
  ok: true;
  account: Account;
  now: number;
}

export abstract class AccountObject extends DurableObject<Env> {
  protected readonly store = new AccountStore(this.ctx.storage);
  protected configuration = new Configuration();
  private readonly archive = new ArchiveOutbox(this.store.log, this.store.state);
  private readonly wakeUps = new WakeUps((at) => void this.ctx.storage.setAlarm(at), Date.now);
  private awake = false;
  /** The last log entry whose totals the queue has, as far as this instance knows. */
  private shippedSeq = 0;
  /** Since when something waits to be shipped; null: nothing does, as far as this instance knows. */
  protected unsentSince: number | null = null;
  /** The object that owns this name now; null: this one. */
  protected home: string | null = null;
  /** The deadline the sandbox clock knows. */
  private registered: number | null = null;

  // ---- Load and append

  /** Reads what this instance has forgotten. */
  private wake(): void {
    if (this.awake) return;
    if (!this.store.empty) {
      this.home = this.store.state.read("home");
      this.configuration.restore(this.store.state);
    }
    this.awake = true;
  }

  /** An alarm may be lost, and whether everything was shipped is not stored: whoever wakes an object without one sets it. */
  private async rearm(): Promise<void> {
    if ((await this.ctx.storage.getAlarm()) !== null || !this.account.identity) return;
    if (this.store.hasTail || this.isMoving || this.archive.archivedSeq < this.account.seq)
      this.wakeUps.propose("chores", Date.now() + CHORES_DELAY_MS);
    this.proposeDeadline();
    this.wakeUps.arm();
  }

  /** The namespace is part of an object's name: a call that carries another is a bug, never an answer. */
  protected guard(call: Call): void {
    const name = this.ctx.id.name;
    if (name !== undefined && !name.startsWith(`${call.namespaceId}/`))
      throw new Error("a call of another namespace reached this object");
    // The alarm itself wakes an object too, and arms what is left when it is done.
    if (!this.awake && !this.store.empty) this.ctx.waitUntil(this.rearm());
    this.wake();
  }

  /** Where calls by this name (null: about the object itself, by whatever name) must go instead; null: they are for this object. */
  protected away(name: string | null): Redirect | null {
    if (this.home !== null) return { ok: false, reason: "moved", home: this.home };
    const { account } = this;
    const led = name === null ? null : leadsTo(account, name);
    if (led !== null) return { ok: false, reason: "moved", home: led };
    return account.merge && { ok: false, reason: account.merge.done ? "moved" : "merging", home: account.merge.home };
  }

  /** Loads the account for a call and writes down what fell due before it. */
  protected open(call: Call, name: string | null = call.name): Opened | Redirect {
    this.guard(call);
    const away = this.away(name);
    if (away) return away;
    if (this.configuration.version < call.configVersion)
      return { ok: false, reason: "stale_config", have: this.configuration.version };
    const { account } = this;
    const now = this.timeOf(call);
    this.settleAt(now);
    return { ok: true, account, now };
  }

  /** The account's time never runs backwards. */
  protected timeOf({ clockMs }: Pick<Call, "clockMs">): number {
    return Math.max(this.account.at, clockMs ?? Date.now());
  }

  /** Writes down what fell due. */
  protected settleAt(now: number): void {
    const { account } = this;
    if (!account.identity || !isDue(account, now)) return;
    const entry = draftEntry(account, now, neverFirst);
    settleInto(account, entry);
    this.append(entry);
  }

  protected get account(): Account {
    return this.store.load(this.configuration);
  }

  /** Uses a newer configuration from now on. What its meters have missed of the log is counted by the alarm, and by who asks for them. */
  protected reconfigure(snapshot: ConfigSnapshot): void {
    const { account } = this;
    if (snapshot.version <= this.configuration.version) return;
    const next = new Configuration();
    next.offer(snapshot);
    this.store.adopt(next, () => next.save(this.store.state));
    this.configuration = next;
    if (account.identity && this.store.counts.left !== null) this.goOn();
  }

  /** Writes an entry from which on everything is counted, and told to the store, again. */
  protected startOver(entry: LogEntry): void {
    this.store.recount(entry, this.configuration.meters);
    this.unsentSince ??= Date.now();
    this.goOn();
  }

  /** The alarm rings soon. */
  protected goOn(delayMs = CHORES_DELAY_MS): void {
    if (delayMs === 0 || !this.wakeUps.has("chores")) this.wakeUps.propose("chores", Date.now() + delayMs);
    this.wakeUps.arm();
  }

  /** Counts what is pending under this key (core/refold.ts), as much as a call may; null: it is whole and may be asked. */
  protected foldedOrRefuse(key: string): Refusal | null {
    const left = this.store.foldUp(key, this.configuration, FOLD_STEPS_PER_CALL);
    return left && { ok: false, reason: "folding", ...left };
  }

  /** Counts whatever is pending, as much as a call may; null: nothing is left. */
  protected foldMore(): FoldProgress | null {
    for (let step = 0; step < FOLD_STEPS_PER_CALL && this.store.foldStep(this.configuration);) step++;
    return this.store.counts.left;
  }

  protected draft(call: Call, { account, now }: Opened): LogEntry {
    return draftEntry(account, now, () => this.newIdentity(call, now));
  }

  /** This object's own name. */
  protected nameOf({ namespaceId, name }: Call): string {
    return this.account.identity?.object ?? this.ctx.id.name ?? objectName(namespaceId, name, sha256);
  }

  protected newIdentity(call: Call, now: number): Identity {
    const object = this.ctx.id.name ?? objectName(call.namespaceId, call.name, sha256);
    const tag = makeTag(crypto.getRandomValues(new Uint32Array(1))[0]! % 2 ** 20);
    return {
      namespaceId: call.namespaceId,
      object,
      customerId: ulid(now),
      key: call.name,
      epoch: ulid(now),
      tag,
      createdAt: now,
      sandbox: call.clockMs !== undefined,
    };
  }

  /** Appends the entry; then what must be known before the answer leaves: the customer id's own object, the sandbox clock. */
  protected async commit(entry: LogEntry, known?: Known): Promise<void> {
    this.append(entry, known);
    if (entry.identity) await this.announce(entry.identity);
    await this.registerDeadline();
  }

  protected append(entry: LogEntry, known?: Known): void {
    this.store.commit(entry, this.configuration.meters, known);
    this.configuration.save(this.store.state);
    this.unsentSince ??= Date.now();
    if (!this.wakeUps.has("chores")) this.wakeUps.propose("chores", Date.now() + CHORES_DELAY_MS);
    this.proposeDeadline();
    this.wakeUps.arm();
  }

  /** A live namespace's deadlines ring here; a sandbox's are its clock's, whatever the wall clock says. */
  private proposeDeadline(): void {
    const { account } = this;
    this.wakeUps.propose("deadline", account.identity?.sandbox ? null : nextDue(account));
  }

  /** Gives the customer id an object of its own that points here, so that calls by id find this one. Repeated by the alarm. */
  private async announce({ namespaceId, customerId, object }: Identity): Promise<void> {
    const call: Call = { namespaceId, name: customerId, configVersion: 0 };
    const named = objectName(namespaceId, customerId, sha256);
    try {
      if (named !== object) await this.env.CUSTOMER.getByName(named).linkTo(call, object);
      this.store.state.write("announced", "yes");
    } catch (error) {
      // The customer's call has succeeded: only its id is not known yet.
      this.report("announce", error);
    }
  }

  /** A sandbox's deadlines are run by its clock, in the order of all its customers. */
  private async registerDeadline(): Promise<void> {
    const { identity } = this.account;
    const next = nextDue(this.account);
    if (!identity?.sandbox || next === this.registered) return;
    await this.env.CLOCK.getByName(identity.namespaceId).register(identity.object, next);
    this.registered = next;
  }

  // ---- The alarm: whatever can be made again from the log is done here, outside any call

  override async alarm(): Promise<void> {
    this.wakeUps.rang();
    this.wake();
    const { identity } = this.account;
    if (!identity) return;
    this.wakeUps.propose("chores", null);
    this.wakeUps.propose("archive", null);
    try {
      await this.settleDue(identity);
      if (this.store.state.read("announced") === null) await this.announce(identity);
      await this.registerDeadline();
      await this.moveOn(identity);
      if (!this.account.merge?.done) await this.foldPending();
      await this.ship();
      await this.tidy();
      await this.shipArchive(identity);
    } catch (error) {
      this.report("chores", error);
      this.wakeUps.propose("chores", Date.now() + RETRY_DELAY_MS);
    }
    // This instance may have been made for the alarm, and know of no deadline yet.
    this.proposeDeadline();
    this.wakeUps.arm();
  }

  /** Grants that take effect or expire, on time even when nobody calls. */
  private async settleDue(identity: Identity): Promise<void> {
    const clockMs = await this.clockMs(identity);
    this.settleAt(this.timeOf({ clockMs }));
  }

  protected async clockMs({ sandbox, namespaceId }: Identity): Promise<number> {
    return sandbox ? ((await this.env.CLOCK.getByName(namespaceId).now()) ?? Date.now()) : Date.now();
  }

  /** Goes on with this object's move into another, if it has begun. */
  protected abstract moveOn(identity: Identity): Promise<void>;

  protected abstract get isMoving(): boolean;

  /** Sends the running totals that changed. What could not be sent stays unsent. */
  private async ship(): Promise<void> {
    const { folds, counts } = this.store;
    if (this.shippedSeq === this.account.seq && !folds.hasUnsentOf(counts.isTold)) return;
    for (;;) {
      const { account } = this;
      // Its totals are the home's now: the store has been told so, and must not hear of newer ones.
      if (account.merge?.done) return;
      const { seq } = account;
      const minutesFrom = Date.now() - MINUTE_RETENTION_MS;
      const taken = folds.takeUnsent(this.configuration.meters, SHIP_BYTES_MAX, counts.isTold, minutesFrom);
      // Asked before the await: what calls add meanwhile is the next alarm's.
      const isAll = !folds.hasUnsentOf(counts.isTold);
      try {
        await sendMessages(this.env.RATING, ratingMessages(account, taken?.rows ?? [], Date.now(), counts.toldVersion));
      } catch (error) {
        taken?.putBack();
        throw error;
      }
      taken?.sent();
      if (!isAll) continue;
      this.shippedSeq = seq;
      // What came while it was sent waits since about now.
      this.unsentSince = this.account.seq === seq ? null : Date.now();
      return;
    }
  }

  /** What comes after this log entry goes to the archive again, soon. */
  protected archiveAgain(after: number): void {
    if (this.account.identity === null) return;
    this.archive.rewind(after);
    this.goOn();
  }

  /** Last of the chores: the log's rows are merged, and a page is shipped as it is. */
  private async shipArchive(identity: Identity): Promise<void> {
    const due = this.archive.dueAt(this.account, Date.now());
    if (due !== null && due <= Date.now()) await this.archive.ship(this.account, identity, this.env, Date.now);
    this.wakeUps.propose("archive", this.archive.dueAt(this.account, Date.now()));
  }

  /** Bounded steps with calls let in between; what they leave is the next alarm's. */
  private async foldPending(): Promise<void> {
    for (let step = 0; this.store.foldStep(this.configuration); step++) {
      if (step === FOLD_STEPS_PER_ALARM) {
        this.wakeUps.propose("chores", Date.now());
        return;
      }
      await scheduler.wait(0);
    }
    if (this.store.folds.hasUnsentOf(this.store.counts.isTold)) this.unsentSince ??= Date.now();
  }

  /** Bounded steps with calls let in between. */
  private async tidy(): Promise<void> {
    for (let step = 0; step < TIDY_STEPS_MAX && this.store.tidy(); step++) await scheduler.wait(0);
  }

  private report(what: string, error: unknown): void {
    console.error(
      JSON.stringify({ message: `customer object: ${what} failed and will be tried again`, error: String(error) }),
    );
  }
}

export const neverFirst = (): never => {
  throw new Error("nothing falls due before the first write");
};
