/**
 * Cuts a customer's events into what one call of its object, or one queue message, takes: in order, bounded in number and size.
 */

/** A customer's part of a batch: JSON text of each normalized event. */
export interface Part {
  subject: string;
  texts: readonly string[];
}

/** One call of `record`. */
export const EVENTS_PER_CALL_MAX = 10_000;
/** A log row holds at most 2 MB and is written whole: below that even if nothing compresses, with room for the journal. */
export const CALL_BYTES_MAX = 1_000_000;

/** JSON arrays for `record`. An event is at most 256 KB, so each fits. */
export function callsOf({ texts }: Part): string[] {
  // UTF-8 needs at most three bytes per UTF-16 unit: most batches are seen to fit without counting.
  const units = texts.reduce((sum, text) => sum + text.length + 1, 1);
  if (units * 3 <= CALL_BYTES_MAX && texts.length <= EVENTS_PER_CALL_MAX) return [arrayOf(texts)];
  return slicesOf(texts, (text) => Buffer.byteLength(text) + 1, CALL_BYTES_MAX).map(arrayOf);
}

export const arrayOf = (texts: readonly string[]): string => `[${texts.join(",")}]`;

/** In order, each slice of at most `sizeMax` and EVENTS_PER_CALL_MAX; one text past `sizeMax` is a slice of its own. */
export function slicesOf(texts: readonly string[], sizeOf: (text: string) => number, sizeMax: number): string[][] {
  const slices: string[][] = [];
  let slice: string[] = [];
  let size = 0;
  for (const text of texts) {
    const textSize = sizeOf(text);
    if (slice.length > 0 && (size + textSize > sizeMax || slice.length === EVENTS_PER_CALL_MAX)) {
      slices.push(slice);
      slice = [];
      size = 0;
    }
    slice.push(text);
    size += textSize;
  }
  if (slice.length > 0) slices.push(slice);
  return slices;
}
