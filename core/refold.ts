/**
 * How far folds that are made from the log have come. What a configuration newly asks for is *pending*: live entries count in it
 * at once, earlier ones (up to `until`) are counted slice by slice, and `done` says which have been. Merging is commutative, so the
 * folds end as one pass over the log would leave them. Pure state; who reads the log is durable-objects/account-store.ts.
 */
export interface Pending {
  /** Log entries up to this one are counted, … */
  done: number;
  /** … and those after this one: they came while it was pending. */
  until: number;
  /** The shared store must be told all of it before it may believe that it has it. */
  tell: boolean;
}

/** The time index (core/time-index.ts) is made from the log like a meter's folds; no fold key is empty. */
export const TIME_INDEX = "";

export interface Refolds {
  /** By fold key (and TIME_INDEX); null: whole. Folds under any other key are dropped. */
  keys: Map<string, Pending | null>;
  /** Keys that are whole, and the shared store has not been seen to take all their rollups. */
  untold: Set<string>;
  /** The newest configuration version that the store may believe this object's rollups to be whole for. */
  toldVersion: number;
}

/** Log entries counted, of those that must be. */
export interface FoldProgress {
  done: number;
  total: number;
}

/** Nothing is pending: the whole log was counted by these meters. */
export const wholeFolds = (foldKeys: Iterable<string>, version: number): Refolds => ({
  keys: new Map([TIME_INDEX, ...foldKeys].map((key) => [key, null])),
  untold: new Set(),
  toldVersion: version,
});

/** Nothing is folded yet, by any meter. */
export const noFolds = (): Refolds => ({ keys: new Map(), untold: new Set(), toldVersion: 0 });

/**
 * Takes up the fold keys of a configuration for a log of `seq` entries. Answers the keys whose stored folds must be dropped: those
 * that left, because nothing counts in them any more, and those that are new, because nothing says what was counted in them.
 */
export function adoptKeys(
  refolds: Refolds,
  foldKeys: Iterable<string>,
  { seq, version, tell = true }: { seq: number; version: number; tell?: boolean },
): string[] {
  const { keys, untold } = refolds;
  const wanted = new Set([TIME_INDEX, ...foldKeys]);
  const dropped: string[] = [];
  for (const key of keys.keys()) {
    if (wanted.has(key)) continue;
    keys.delete(key);
    untold.delete(key);
    dropped.push(key);
  }
  for (const key of wanted) {
    if (keys.has(key)) continue;
    keys.set(key, seq === 0 ? null : { done: 0, until: seq, tell: tell && key !== TIME_INDEX });
    dropped.push(key);
  }
  tellUnlessPending(refolds, version);
  return dropped;
}

/** The store lacks nothing when no meter is untold, or will be. */
function tellUnlessPending(refolds: Refolds, version: number): void {
  const isPending = [...refolds.keys.values()].some((pending) => pending?.tell);
  if (!isPending && refolds.untold.size === 0) refolds.toldVersion = version;
}

/** The store has all rollups of what was untold. False: it was known before. */
export function tell(refolds: Refolds, version: number): boolean {
  const { untold, toldVersion } = refolds;
  const wasUntold = untold.size > 0;
  untold.clear();
  tellUnlessPending(refolds, version);
  return wasUntold || refolds.toldVersion !== toldVersion;
}

/** Everything is to be made again, from a log of `seq` entries. What the store has is as good as before. */
export function restart(refolds: Refolds, seq: number): void {
  const { keys, untold } = refolds;
  for (const [key, pending] of keys)
    keys.set(key, { done: 0, until: seq, tell: pending?.tell === true || untold.has(key) });
  untold.clear();
}

export const isWhole = ({ keys }: Refolds, key: string): boolean => keys.get(key) === null;

/** Whether the events of a log entry are counted under this key. */
export function isFolded({ keys }: Refolds, key: string, seq: number): boolean {
  const pending = keys.get(key);
  return pending === null || (pending !== undefined && (seq <= pending.done || seq > pending.until));
}

/** How far the key is that has come least far; null: nothing is pending. */
export function foldsLeft({ keys }: Refolds): FoldProgress | null {
  let least: Pending | null = null;
  for (const pending of keys.values()) {
    if (pending !== null && (least === null || pending.done < least.done)) least = pending;
  }
  return least && { done: least.done, total: least.until };
}

export interface Slice {
  /** The keys to count in. */
  keys: string[];
  /** Log entries, both included. */
  from: number;
  to: number;
}

/** What to read next: the keys that have come least far, until one of them is whole or they have caught up with the next. */
export function nextSlice(refolds: Refolds): Slice | null {
  const left = foldsLeft(refolds);
  if (left === null) return null;
  const slice: Slice = { keys: [], from: left.done + 1, to: left.total };
  for (const [key, pending] of refolds.keys) {
    if (pending === null) continue;
    if (pending.done > left.done) slice.to = Math.min(slice.to, pending.done);
    else {
      slice.keys.push(key);
      slice.to = Math.min(slice.to, pending.until);
    }
  }
  return slice;
}

/** The slice's keys have counted entries up to this one. */
export function sliceDone(refolds: Refolds, { keys }: Slice, done: number): void {
  for (const key of keys) {
    const pending = refolds.keys.get(key);
    if (!pending) continue;
    pending.done = done;
    if (done < pending.until) continue;
    refolds.keys.set(key, null);
    if (pending.tell) refolds.untold.add(key);
  }
}

/** As stored: whole keys, pending ones as [key, done, until, tell], untold keys, told version. */
export type StoredRefolds = [
  whole: string[],
  pending: [string, number, number, 0 | 1][],
  untold: string[],
  toldVersion: number,
];

export function storeRefolds({ keys, untold, toldVersion }: Refolds): StoredRefolds {
  const whole: string[] = [];
  const pending: [string, number, number, 0 | 1][] = [];
  for (const [key, left] of keys) {
    if (left === null) whole.push(key);
    else pending.push([key, left.done, left.until, left.tell ? 1 : 0]);
  }
  return [whole, pending, [...untold], toldVersion];
}

export const restoreRefolds = ([whole, pending, untold, toldVersion]: StoredRefolds): Refolds => ({
  keys: new Map([
    ...whole.map((key): [string, null] => [key, null]),
    ...pending.map(([key, done, until, tell]): [string, Pending] => [key, { done, until, tell: tell === 1 }]),
  ]),
  untold: new Set(untold),
  toldVersion,
});
