/**
 * Which fold chunks have windows that the rollups are not known to have. Nothing is ever dropped from it on a guess: what is on its
 * way counts as unsent until its sender says otherwise, and what has left memory counts as unsent as a whole. Sending a
 * window twice changes nothing. Knows names of chunks only; what is in them is fold-store.ts's business.
 */

/** A meter's fold key and an hour since 1970. */
export interface ChunkName {
  foldKey: string;
  hour: number;
}

export const nameOf = ({ foldKey, hour }: ChunkName): string => `${foldKey} ${hour}`;

export class UnsentChunks {
  private readonly unsent = new Map<string, ChunkName>();
  /** Of these, the ones all of whose windows are unsent. */
  private readonly whole = new Set<string>();
  /** Taken, and neither sent nor put back yet: how often. */
  private readonly flying = new Map<string, ChunkName & { times: number }>();

  get size(): number {
    return this.unsent.size;
  }

  entries(): Iterable<[string, ChunkName]> {
    return this.unsent;
  }

  add(chunk: ChunkName): void {
    this.unsent.set(nameOf(chunk), chunk);
  }

  /** Everything in it is unsent, whenever it is read from storage again. */
  addWhole(chunk: ChunkName): void {
    this.add(chunk);
    this.whole.add(nameOf(chunk));
  }

  /** Whether all of it is unsent; asked once, by whoever reads it from storage. */
  takeWhole(name: string): boolean {
    return this.whole.delete(name);
  }

  /** Nothing in it is unsent any more, but for what is on its way. */
  delete(name: string): void {
    this.unsent.delete(name);
  }

  /** The folds of this key are deleted. */
  drop(foldKey: string): void {
    for (const [name, chunk] of this.unsent) {
      if (chunk.foldKey !== foldKey) continue;
      this.unsent.delete(name);
      this.whole.delete(name);
    }
    for (const [name, chunk] of this.flying) if (chunk.foldKey === foldKey) this.flying.delete(name);
  }

  takeOff(chunk: ChunkName): void {
    const name = nameOf(chunk);
    this.flying.set(name, { ...chunk, times: (this.flying.get(name)?.times ?? 0) + 1 });
  }

  /** False when it was not on its way: everything was forgotten meanwhile. */
  land(chunk: ChunkName): boolean {
    const name = nameOf(chunk);
    const flying = this.flying.get(name);
    if (flying === undefined) return false;
    if (--flying.times === 0) this.flying.delete(name);
    return true;
  }

  clear(): void {
    this.unsent.clear();
    this.whole.clear();
    this.flying.clear();
  }

  /** All of them as text: fold key → [first hour, how many in a row, …]. */
  toText(): string {
    const hours: Record<string, number[]> = {};
    for (const { foldKey, hour } of [...this.unsent.values(), ...this.flying.values()])
      (hours[foldKey] ??= []).push(hour);
    for (const key of Object.keys(hours)) hours[key] = runs(hours[key]!);
    return JSON.stringify(hours);
  }
}

/** The chunks of a text. */
export function unsentIn(text: string): ChunkName[] {
  const chunks: ChunkName[] = [];
  for (const [foldKey, found] of Object.entries(JSON.parse(text) as Record<string, number[]>)) {
    for (let i = 0; i < found.length; i += 2) {
      for (let hour = found[i]!; hour < found[i]! + found[i + 1]!; hour++) chunks.push({ foldKey, hour });
    }
  }
  return chunks;
}

/** [first, how many, …] of numbers, in any order and repeated as it may be. */
function runs(numbers: number[]): number[] {
  const found: number[] = [];
  for (const number of [...new Set(numbers)].sort((a, b) => a - b)) {
    const last = found.length - 2;
    if (last >= 0 && number === found[last]! + found[last + 1]!) found[last + 1]!++;
    else found.push(number, 1);
  }
  return found;
}
