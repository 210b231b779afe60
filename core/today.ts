/**
 * How many events were accepted today, by subject: what a monitor scrapes to see that events arrive. Today is the UTC day of the last
 * entry that brought some; with the first event of another day it begins anew. Not what meters count: the event's own time, its type
 * and later corrections do not matter.
 */
import type { UsageEvent } from "./event";

export interface Today {
  /** Days since 1970; 0: no event yet. */
  day: number;
  subjects: Map<string, number>;
}

export const noneToday = (): Today => ({ day: 0, subjects: new Map() });

const DAY_MS = 86_400_000;
export const dayOf = (ms: number): number => Math.floor(ms / DAY_MS);

/** They travel with every message to the store. Past these bounds the rest of a customer's subjects is counted together, as OTHERS. */
export const SUBJECTS_COUNTED_MAX = 100;
export const SUBJECT_CHARS_COUNTED_MAX = 8_192;
/** No event has this subject. */
export const OTHERS = "";

/** Counts events that were accepted at this time. */
export function countToday(today: Today, at: number, events: readonly UsageEvent[]): void {
  if (events.length === 0) return;
  const day = dayOf(at);
  if (day > today.day) {
    today.day = day;
    today.subjects.clear();
  }
  let subject = events[0]!.subject;
  let count = 0;
  // Neighbours are mostly of one subject.
  for (const event of events) {
    if (event.subject !== subject) {
      add(today.subjects, subject, count);
      subject = event.subject;
      count = 0;
    }
    count++;
  }
  add(today.subjects, subject, count);
}

function add(subjects: Map<string, number>, subject: string, count: number): void {
  const counted = subjects.has(subject) || hasRoom(subjects, subject) ? subject : OTHERS;
  subjects.set(counted, (subjects.get(counted) ?? 0) + count);
}

function hasRoom(subjects: ReadonlyMap<string, number>, subject: string): boolean {
  if (subjects.size >= SUBJECTS_COUNTED_MAX) return false;
  let chars = subject.length;
  for (const known of subjects.keys()) chars += known.length;
  return chars <= SUBJECT_CHARS_COUNTED_MAX;
}

/** As it is stored and sent. */
export type StoredToday = [day: number, subjects: [subject: string, count: number][]];

export const storeToday = ({ day, subjects }: Today): StoredToday => [day, [...subjects]];
export const restoreToday = ([day, subjects]: StoredToday): Today => ({ day, subjects: new Map(subjects) });
