/**
 * A Bloom filter over one page of 128-bit hashes: never a false "no", and a false "yes" for about 1 hash in 700 when the
 * page is full. A filter is a slice of a larger array, so that a run's filters are read and kept as a few big blobs.
 */
/**
 * 14 bits a key for a full page of 2,730 keys: with 7 probes 0.15 % false yes, and 35 MB of memory at the bound of 20 million keys.
 * At 10.4 bits it was 0.67 %, and the pages read for nothing cost a tenth of a batch's CPU.
 */
export const BLOOM_BYTES = 4_778;
const PROBES = 7;

/**
 * Probe positions come from two words of the hash that ordering a run by its first words leaves random. Positions are spread over
 * any number of bits by multiplying, so the size need not be a power of two.
 */
export function bloomAdd(bits: Uint8Array, start: number, bytes: number, word2: number, word3: number): void {
  const scale = (bytes * 8) / 2 ** 32;
  const step = word3 | 1;
  let place = word2 >>> 0;
  for (let probe = 0; probe < PROBES; probe++) {
    const bit = Math.floor(place * scale);
    bits[start + (bit >>> 3)]! |= 1 << (bit & 7);
    place = (place + step) >>> 0;
  }
}

export function bloomHas(bits: Uint8Array, start: number, bytes: number, word2: number, word3: number): boolean {
  const scale = (bytes * 8) / 2 ** 32;
  const step = word3 | 1;
  let place = word2 >>> 0;
  for (let probe = 0; probe < PROBES; probe++) {
    const bit = Math.floor(place * scale);
    if ((bits[start + (bit >>> 3)]! & (1 << (bit & 7))) === 0) return false;
    place = (place + step) >>> 0;
  }
  return true;
}
