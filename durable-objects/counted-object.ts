/**
 * The calls of a customer's object about what is counted from its log: folds of new meters, rebuilding and auditing them, and lists of
 * its events. The work is in log-folds.ts, folded-rollups.ts, audit.ts and event-list.ts.
 */
import { decodeTime, ulid } from "ulid";
import { startEpoch } from "../core/account";
import type { EventQuery, ListedEvent } from "../core/event-listing";
import { TIME_INDEX, type FoldProgress } from "../core/refold";
import { Audit } from "./audit";
import { listEvents } from "./event-list";
import { FoldedRollups } from "./folded-rollups";
import { NamedObject } from "./named-object";
import type { Answer, AuditSlice, Call, FoldedPage, Refusal } from "./rpc";

export abstract class CountedObject extends NamedObject {
  private readonly folded = new FoldedRollups(this.store, Date.now, () => crypto.randomUUID());
  private readonly auditing = new Audit(this.store);

  async refold(call: Call): Promise<Answer<{ left: FoldProgress | null }>> {
    const opened = this.open(call, null);
    return opened.ok ? { ok: true, left: this.foldMore() } : opened;
  }

  async foldedRollups(call: Call, asked: { written: string | null; take: boolean }): Promise<Answer<FoldedPage>> {
    const opened = this.open(call, null);
    if (!opened.ok) return opened;
    const left = this.foldMore();
    if (left !== null) return folding(left);
    const page = this.folded.next(this.configuration, asked, opened.now);
    // All is counted, and not all told.
    return page ? { ok: true, ...page } : folding({ done: opened.account.seq, total: opened.account.seq });
  }

  async rebuild(call: Call): Promise<Answer<{ epoch: string | null }>> {
    const opened = this.open(call, null);
    if (!opened.ok) return opened;
    const { account, now } = opened;
    if (account.identity === null) return { ok: true, epoch: null };
    const entry = this.draft(call, opened);
    startEpoch(account, entry, ulid(Math.max(now, decodeTime(account.identity.epoch) + 1)));
    this.startOver(entry);
    return { ok: true, epoch: entry.epoch ?? null };
  }

  async audit(call: Call, from: string | null): Promise<Answer<AuditSlice>> {
    const opened = this.open(call, null);
    if (!opened.ok) return opened;
    const left = this.foldMore();
    if (left !== null) return folding(left);
    return { ok: true, ...this.auditing.next(this.configuration, from) };
  }

  async listEvents(call: Call, query: EventQuery): Promise<Answer<{ items: ListedEvent[]; resume: string | null }>> {
    const opened = this.open(call);
    if (!opened.ok) return opened;
    const refused = this.foldedOrRefuse(TIME_INDEX);
    if (refused) return refused;
    return { ok: true, ...listEvents(this.store, opened.account, this.configuration, query) };
  }
}

const folding = (left: FoldProgress): Refusal => ({ ok: false, reason: "folding", ...left });
