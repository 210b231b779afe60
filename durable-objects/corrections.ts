/** Finds what a correction is about: the event as it counts now, and what it has moved so far. Read only. */
import type { Account, Recorded } from "../core/account";
import type { CorrectionMark } from "../core/archive-line";
import { paidBy, paidIn, paidLaterIn, presentPlace, wasTracked } from "../core/correction";
import { eventKey, type JsonObject, type UsageEvent } from "../core/event";
import { parseExact } from "../core/exact-json";
import { originOf } from "../core/imported";
import { decodeEntry } from "../core/log-entry";
import { ok, refuse, type Result } from "../core/result";
import { isUnrated, unpackRef, type EventRef } from "../core/unrated";
import type { Paid } from "../core/wallet";
import type { AccountStore } from "./account-store";

export function recordedEvent(
  store: AccountStore,
  account: Account,
  { source, id }: { source: string; id: string },
): Result<Recorded, { reason: "unknown_event" | "already_voided"; detail: string }> {
  const of = store.find(eventKey(source, id));
  if (!of) return refuse({ reason: "unknown_event", detail: "this customer has no event of this source and id" });
  const at = presentPlace(account.corrections, of);
  if (!at) return refuse({ reason: "already_voided", detail: "this event is voided already" });
  const entry = store.entry(at.seq);
  const event = entry.events[at.index];
  if (!event) throw new Error(`log entry ${at.seq} has no event ${at.index}`);
  const ratedLater = entry.unrated.includes(at.index) && !isUnrated(account.unrated, at);
  const paid = ratedLater ? paidLater(store, at, paidIn(entry, at.index)) : paidIn(entry, at.index);
  return ok({ of, at, event, tracked: wasTracked(entry, at.index), paid });
}

/** An event that was priced later: a later entry moved its debit, and only the journal knows which. Rare, so it is searched. */
function paidLater(store: AccountStore, at: EventRef, before: Paid): Paid {
  for (const { json } of store.log.forward(at.seq + 1, { journalOnly: true })) {
    const entry = decodeEntry(json, parseExact);
    const place = entry.rated.findIndex(({ of }) => of?.seq === at.seq && of.index === at.index);
    if (place >= 0) return paidBy([paidLaterIn(entry, place)], before);
  }
  return before;
}

/** The next version of an event. */
export function amended(event: UsageEvent, { dataJson, time }: { dataJson?: string; time?: number }): UsageEvent {
  const data = dataJson === undefined ? event.data : (parseExact(dataJson) as JsonObject | null);
  return { ...event, time: time ?? event.time, ...(data !== undefined && { data }) };
}

/** What these log entries corrected, for the archive, which has the superseded versions' lines already. */
export function marksIn(store: AccountStore, account: Account, seqs: readonly number[]): CorrectionMark[] {
  const marks: CorrectionMark[] = [];
  for (const seq of seqs) {
    const { at, corrections = [] } = store.entry(seq);
    for (const [place, { of, reason, index }] of corrections.entries()) {
      const before = versionBefore(store, account, of, seq);
      const entry = store.entry(before.seq);
      const { id, source, type, subject, time } = entry.events[before.index]!;
      const { object, ...accepted } = originOf(entry, before.index, account.identity!.object);
      marks.push({
        seq,
        at,
        place,
        of: { object, seq: accepted.seq, index: accepted.index },
        event: { id, source, type, subject, time },
        present: index === null ? null : { seq, index },
        reason,
      });
    }
  }
  return marks;
}

/** The version that counted before this log entry corrected it. */
function versionBefore(store: AccountStore, { corrections }: Account, of: EventRef, seq: number): EventRef {
  let before = of;
  for (const place of corrections.superseded) {
    // First versions are found by `of`; of the others there are as many as events that were corrected more than once.
    if (corrections.present.has(place)) continue;
    const version = unpackRef(place);
    if (version.seq >= seq || version.seq <= before.seq) continue;
    const correction = store.entry(version.seq).corrections?.find(({ index }) => index === version.index);
    if (correction?.of.seq === of.seq && correction.of.index === of.index) before = version;
  }
  return before;
}
