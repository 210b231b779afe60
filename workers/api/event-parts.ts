/**
 * Cuts a customer's events into what one call of its object, or one queue message, takes: JSON arrays in order, bounded in number
 * and size. Numbers stay exact: they are written as they were read.
 */
import { UTF8_BYTES_PER_CHAR_MAX, type Part } from "./read-events";

/** One call of `record`. */
export const EVENTS_PER_CALL_MAX = 10_000;
/** A log row holds at most 2 MB and is written whole: below that even if nothing compresses, with room for the journal. */
export const CALL_BYTES_MAX = 1_000_000;

/** JSON arrays for `record`. An event is at most 256 KB, so each fits. */
export function callsOf({ events }: Part): string[] {
  const whole = JSON.stringify(events);
  if (whole.length * UTF8_BYTES_PER_CHAR_MAX <= CALL_BYTES_MAX && events.length <= EVENTS_PER_CALL_MAX) return [whole];
  const texts = events.map((event) => JSON.stringify(event));
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
