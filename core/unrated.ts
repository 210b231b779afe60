/**
 * Events that could be debited but that no rule prices yet: how many, and where in the log they are.
 * Places are packed into one number each, so that a million of them cost 8 MB of memory and about as much in a checkpoint.
 */
export interface EventRef {
  seq: number;
  index: number;
}

export interface Unrated {
  count: number;
  /** seq × INDEXES + index, ascending. */
  places: number[];
}

/** Past this an unpriced event is still kept, metered and counted, but no longer found by `events/rate` (docs/limits.md). */
export const PLACES_MAX = 1_000_000;
/** More than the events of any one log entry. */
const INDEXES = 16_384;

/** A place as one number: ascending as the log is. */
export const packRef = (ref: EventRef): number => ref.seq * INDEXES + ref.index;
export const unpackRef = (place: number): EventRef => ({ seq: Math.floor(place / INDEXES), index: place % INDEXES });

export const noneUnrated = (): Unrated => ({ count: 0, places: [] });

export function addUnrated(unrated: Unrated, ref: EventRef): void {
  unrated.count += 1;
  if (unrated.places.length < PLACES_MAX) unrated.places.push(packRef(ref));
}

/** Forgets events that have been priced. */
export function forgetUnrated(unrated: Unrated, priced: readonly EventRef[]): void {
  if (priced.length === 0) return;
  const gone = new Set(priced.map(packRef));
  unrated.places = unrated.places.filter((place) => !gone.has(place));
  unrated.count -= gone.size;
}

/** Does this event wait for a price? Past PLACES_MAX nobody knows, and the answer is no. */
export const isUnrated = ({ places }: Unrated, ref: EventRef): boolean =>
  places[lowerBound(places, packRef(ref))] === packRef(ref);

/** Up to `limit` places after `after` (null: from the first), oldest first. */
export function unratedAfter(unrated: Unrated, after: EventRef | null, limit: number): EventRef[] {
  const start = after === null ? 0 : lowerBound(unrated.places, packRef(after) + 1);
  return unrated.places.slice(start, start + limit).map(unpackRef);
}

function lowerBound(sorted: readonly number[], value: number): number {
  let low = 0;
  let high = sorted.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (sorted[middle]! < value) low = middle + 1;
    else high = middle;
  }
  return low;
}
