/**
 * Sorted runs of remembered keys: which key was recorded where. A run is a sorted list of 24-byte records cut into pages;
 * in memory it costs a fence and a Bloom filter per page, about 1.8 bytes a key. Pure: pages are read through a function,
 * hashing is done by the caller. Nothing here writes, and a run never changes once it is built.
 *
 * Record: six little-endian 32-bit words. 0–3 the key's 128-bit keyed hash; 4 the low 32 bits of the log entry's number;
 * 5 the next 16 bits of it, and above them the 16-bit position in the entry. Records are ordered by words 0, 1, 2, 3.
 */
import { BLOOM_BYTES, bloomAdd, bloomHas } from "./bloom";
import { assert } from "./result";

export const HASH_WORDS = 4;
export const RECORD_WORDS = 6;
export const RECORD_BYTES = 24;
/** As many records as fit into 64 KB: large pages keep row writes per key low, small ones keep a lookup cheap. */
export const PAGE_RECORDS = 2_730;
/** Pages whose fences and filters share one stored blob (57 KB); also the work of one merge step. */
export const SEGMENT_PAGES = 16;
/** Runs of one size class that are merged into one. 3 keeps 5 million keys in at most 15 runs and rewrites a key 7 times. */
export const MERGE_RATIO = 3;

/** Where a key was recorded: the log entry and the position in it. */
export interface DedupRef {
  seq: number;
  index: number;
}

/** The hash lies in words[at … at + 3] already. */
export function writeRef(words: Uint32Array, at: number, { seq, index }: DedupRef): void {
  assert(seq >= 0 && seq < 2 ** 48 && index >= 0 && index < 2 ** 16, "a reference fits its 8 bytes");
  words[at + 4] = seq % 2 ** 32;
  words[at + 5] = index * 2 ** 16 + Math.floor(seq / 2 ** 32);
}

export function readRef(words: Uint32Array, at: number): DedupRef {
  const high = words[at + 5]!;
  return { seq: words[at + 4]! + (high % 2 ** 16) * 2 ** 32, index: high >>> 16 };
}

function compareHashes(a: Uint32Array, i: number, b: Uint32Array, j: number): number {
  for (let word = 0; word < HASH_WORDS; word++) {
    const difference = a[i + word]! - b[j + word]!;
    if (difference !== 0) return difference;
  }
  return 0;
}

/** The first 53 bits of a hash as an exact number: what fences hold and positions are guessed from. */
const prefixOf = (words: Uint32Array, at: number): number => words[at]! * 2 ** 21 + (words[at + 1]! >>> 11);
const PREFIX_END = 2 ** 53;

/** A sorted copy. Keys are distinct, so equal hashes (2⁻¹²⁸) keep their order. */
export function sortRecords(words: Uint32Array): Uint32Array {
  const order = Uint32Array.from({ length: words.length / RECORD_WORDS }, (_, record) => record * RECORD_WORDS);
  order.sort((i, j) => compareHashes(words, i, words, j));
  const sorted = new Uint32Array(words.length);
  for (const [place, at] of order.entries()) sorted.set(words.subarray(at, at + RECORD_WORDS), place * RECORD_WORDS);
  return sorted;
}

/** The place (in words) of a hash among sorted records, or where it is not: before all of them, after all, or in a gap. */
export function searchRecords(words: Uint32Array, hash: Uint32Array): number | "before" | "after" | "gap" {
  let low = 0;
  let high = words.length / RECORD_WORDS;
  const records = high;
  while (low < high) {
    const middle = (low + high) >>> 1;
    const order = compareHashes(words, middle * RECORD_WORDS, hash, 0);
    if (order === 0) return middle * RECORD_WORDS;
    if (order < 0) low = middle + 1;
    else high = middle;
  }
  return low === 0 ? "before" : low === records ? "after" : "gap";
}

/**
 * What memory keeps of up to SEGMENT_PAGES pages, as it is stored: four 32-bit words (format, pages, records in a full page,
 * bytes of a filter), a 64-bit float per page (the fence: prefix of its first hash), a Bloom filter per page.
 */
export interface Segment {
  pages: number;
  pageRecords: number;
  filterBytes: number;
  fences: Float64Array;
  filters: Uint8Array;
}

const SEGMENT_FORMAT = 1;
const SEGMENT_HEADER_BYTES = 16;

export function encodeSegment(pages: readonly Uint32Array[], pageRecords: number): Uint8Array<ArrayBuffer> {
  // A small run's pages are not full; their filters are full-sized all the same, because there are few.
  const filterBytes = Math.ceil((BLOOM_BYTES * pageRecords) / PAGE_RECORDS);
  const start = SEGMENT_HEADER_BYTES + 8 * pages.length;
  const bytes = new Uint8Array(start + filterBytes * pages.length);
  new Uint32Array(bytes.buffer, 0, 4).set([SEGMENT_FORMAT, pages.length, pageRecords, filterBytes]);
  const fences = new Float64Array(bytes.buffer, SEGMENT_HEADER_BYTES, pages.length);
  for (const [page, words] of pages.entries()) {
    fences[page] = prefixOf(words, 0);
    const filter = start + page * filterBytes;
    for (let at = 0; at < words.length; at += RECORD_WORDS) {
      bloomAdd(bytes, filter, filterBytes, words[at + 2]!, words[at + 3]!);
    }
  }
  return bytes;
}

export function decodeSegment(buffer: ArrayBuffer): Segment {
  const [format, pages = 0, pageRecords = 0, filterBytes = 0] = new Uint32Array(buffer, 0, 4);
  assert(format === SEGMENT_FORMAT, "a dedup segment has a known format");
  const fences = new Float64Array(buffer, SEGMENT_HEADER_BYTES, pages);
  const filters = new Uint8Array(buffer, SEGMENT_HEADER_BYTES + 8 * pages);
  return { pages, pageRecords, filterBytes, fences, filters };
}

/** Part of a page that probably holds a hash: records [from, from + records). */
export interface Window {
  page: number;
  from: number;
  records: number;
}

const NONE: readonly Window[] = [];

/** The fences and filters of one run: says which pages may hold a hash, and where in them. */
export class RunIndex {
  readonly pages: number;
  private readonly segmentPages: number;

  constructor(
    readonly keys: number,
    private readonly segments: readonly Segment[],
  ) {
    this.pages = segments.reduce((sum, segment) => sum + segment.pages, 0);
    this.segmentPages = segments[0]?.pages ?? 1;
  }

  get memoryBytes(): number {
    return this.segments.reduce((sum, { fences, filters }) => sum + fences.byteLength + filters.byteLength, 0);
  }

  /** Pages to look into: almost always none or one. */
  candidates(hash: Uint32Array): readonly Window[] {
    const prefix = prefixOf(hash, 0);
    let found: readonly Window[] = NONE;
    // Only a fence equal to the prefix leaves two pages possible.
    for (let page = this.pageBefore(hash); page < this.pages && this.fence(page) <= prefix; page++) {
      const { segment, place } = this.locate(page);
      const start = place * segment.filterBytes;
      if (bloomHas(segment.filters, start, segment.filterBytes, hash[2]!, hash[3]!)) {
        found = [...found, this.window(page, prefix)];
      }
    }
    return found;
  }

  /** The last page that starts before a hash, or the first page: a hash is in no earlier one. */
  pageBefore(hash: Uint32Array): number {
    const prefix = prefixOf(hash, 0);
    // Hashes are uniform, so the guess is at most a page or two off; the walk makes it exact.
    let page = Math.min(this.pages - 1, Math.floor((prefix / PREFIX_END) * this.pages));
    while (page > 0 && this.fence(page) >= prefix) page--;
    while (page + 1 < this.pages && this.fence(page + 1) < prefix) page++;
    return page;
  }

  private recordsIn(page: number): number {
    const full = this.segments[0]!.pageRecords;
    return page + 1 < this.pages ? full : this.keys - full * (this.pages - 1);
  }

  private window(page: number, prefix: number): Window {
    const records = this.recordsIn(page);
    const low = this.fence(page);
    const high = page + 1 < this.pages ? this.fence(page + 1) : PREFIX_END;
    const guess = high > low ? Math.floor(((prefix - low) / (high - low)) * records) : 0;
    // Five standard deviations of where the n-th of uniform hashes lies.
    const slack = Math.ceil(2.5 * Math.sqrt(records)) + 4;
    const from = Math.max(0, guess - slack);
    return { page, from, records: Math.min(records, guess + slack) - from };
  }

  private fence(page: number): number {
    const { segment, place } = this.locate(page);
    return segment.fences[place]!;
  }

  private locate(page: number): { segment: Segment; place: number } {
    return { segment: this.segments[Math.floor(page / this.segmentPages)]!, place: page % this.segmentPages };
  }
}

/** Reads a run's records in order, one page in memory at a time. */
export class RunReader {
  private words = new Uint32Array(0);
  private at = 0;

  constructor(
    private page: number,
    private readonly pages: number,
    private readonly readPage: (page: number) => Uint32Array<ArrayBuffer>,
  ) {
    this.words = readPage(page);
  }

  get done(): boolean {
    return this.page >= this.pages;
  }

  skipThrough(hash: Uint32Array): void {
    while (!this.done && compareHashes(this.words, this.at, hash, 0) <= 0) this.advance();
  }

  isBefore(other: RunReader): boolean {
    return compareHashes(this.words, this.at, other.words, other.at) < 0;
  }

  /** Copies the record to out[at …] and goes to the next. */
  take(out: Uint32Array, at: number): void {
    const { words } = this;
    let from = this.at;
    for (let to = at; to < at + RECORD_WORDS; to++) out[to] = words[from++]!;
    this.advance();
  }

  private advance(): void {
    this.at += RECORD_WORDS;
    if (this.at < this.words.length) return;
    this.page++;
    this.at = 0;
    if (!this.done) this.words = this.readPage(this.page);
  }
}

/** Takes the next `records` records (fewer at the end) off the readers, in order. */
export function mergeRecords(readers: readonly RunReader[], records: number): Uint32Array<ArrayBuffer> {
  const out = new Uint32Array(records * RECORD_WORDS);
  let at = 0;
  for (; at < out.length; at += RECORD_WORDS) {
    let least: RunReader | null = null;
    for (const reader of readers) if (!reader.done && (least === null || reader.isBefore(least))) least = reader;
    if (least === null) break;
    least.take(out, at);
  }
  return at === out.length ? out : out.slice(0, at);
}

/**
 * Which runs to merge next, by position: the oldest MERGE_RATIO of the smallest size class that has so many; null when there
 * is no such class. A class spans a factor of MERGE_RATIO, so a merged run is in a higher class and each key moves up a few times.
 */
export function planRunMerge(runKeys: readonly number[], smallestKeys: number): number[] | null {
  const classes: number[][] = [];
  for (const [place, keys] of runKeys.entries()) {
    let sizeClass = 0;
    for (let bound = smallestKeys * MERGE_RATIO; keys >= bound; bound *= MERGE_RATIO) sizeClass++;
    (classes[sizeClass] ??= []).push(place);
  }
  return classes.find((places) => places && places.length >= MERGE_RATIO)?.slice(0, MERGE_RATIO) ?? null;
}
