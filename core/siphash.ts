/**
 * SipHash-2-4 with a 128-bit result (Aumasson and Bernstein): a keyed pseudo-random function for short, attacker-chosen text.
 * Two different strings never become the same message: text is hashed as UTF-8, lone surrogates as the three bytes
 * UTF-8 would use for them. Pure; the key is the caller's secret. Written here because one node:crypto hash costs
 * 4.5 µs inside workerd, whatever the algorithm, and this 0.5 µs (docs/decisions/003-object.md).
 */
import { assert } from "./result";

export const SIPHASH_KEY_BYTES = 16;

/** Writes the 16-byte hash of `text` into `words[at] … words[at + 3]`, little-endian. Not re-entrant: it owns a scratch buffer. */
export type TextHash = (text: string, words: Uint32Array, at: number) => void;

export function sipHash(key: Uint8Array): TextHash {
  assert(key.length === SIPHASH_KEY_BYTES, "a SipHash key is 16 bytes");
  const keyView = new DataView(key.buffer, key.byteOffset, key.byteLength);
  const k0Low = keyView.getInt32(0, true);
  const k0High = keyView.getInt32(4, true);
  const k1Low = keyView.getInt32(8, true);
  const k1High = keyView.getInt32(12, true);
  let bytes = new Uint8Array(1024);
  let message = new DataView(bytes.buffer);

  return (text, words, at) => {
    const room = text.length * 3 + 8;
    if (bytes.length < room) {
      bytes = new Uint8Array(2 * room);
      message = new DataView(bytes.buffer);
    }
    const length = writeText(text, bytes);
    // The last word is zero-padded and carries the length in its top byte.
    const end = (length & ~7) + 8;
    bytes.fill(0, length, end - 1);
    bytes[end - 1] = length;

    // The four 64-bit state words, as signed 32-bit halves.
    let v0Low = k0Low ^ 0x70736575;
    let v0High = k0High ^ 0x736f6d65;
    let v1Low = k1Low ^ (0x6e646f6d ^ 0xee);
    let v1High = k1High ^ 0x646f7261;
    let v2Low = k0Low ^ 0x6e657261;
    let v2High = k0High ^ 0x6c796765;
    let v3Low = k1Low ^ 0x79746573;
    let v3High = k1High ^ 0x74656462;

    // Two rounds a message word, then four rounds for each half of the result: one loop, so that the round is written once.
    for (let offset = 0; offset < end + 16; offset += 8) {
      const inMessage = offset < end;
      let mLow = 0;
      let mHigh = 0;
      if (inMessage) {
        mLow = message.getInt32(offset, true);
        mHigh = message.getInt32(offset + 4, true);
        v3Low ^= mLow;
        v3High ^= mHigh;
      } else if (offset === end) {
        v2Low ^= 0xee;
      } else {
        words[at] = v0Low ^ v1Low ^ v2Low ^ v3Low;
        words[at + 1] = v0High ^ v1High ^ v2High ^ v3High;
        v1Low ^= 0xdd;
      }
      for (let round = inMessage ? 2 : 4; round > 0; round--) {
        // v0 += v1; v1 = rotate(v1, 13) ^ v0; v0 = rotate(v0, 32)
        let low = (v0Low + v1Low) | 0;
        let high = (v0High + v1High + (low >>> 0 < v0Low >>> 0 ? 1 : 0)) | 0;
        let turned = (v1Low << 13) | (v1High >>> 19);
        v1High = ((v1High << 13) | (v1Low >>> 19)) ^ high;
        v1Low = turned ^ low;
        v0Low = high;
        v0High = low;
        // v2 += v3; v3 = rotate(v3, 16) ^ v2
        low = (v2Low + v3Low) | 0;
        high = (v2High + v3High + (low >>> 0 < v2Low >>> 0 ? 1 : 0)) | 0;
        turned = (v3Low << 16) | (v3High >>> 16);
        v3High = ((v3High << 16) | (v3Low >>> 16)) ^ high;
        v3Low = turned ^ low;
        v2Low = low;
        v2High = high;
        // v0 += v3; v3 = rotate(v3, 21) ^ v0
        low = (v0Low + v3Low) | 0;
        high = (v0High + v3High + (low >>> 0 < v0Low >>> 0 ? 1 : 0)) | 0;
        turned = (v3Low << 21) | (v3High >>> 11);
        v3High = ((v3High << 21) | (v3Low >>> 11)) ^ high;
        v3Low = turned ^ low;
        v0Low = low;
        v0High = high;
        // v2 += v1; v1 = rotate(v1, 17) ^ v2; v2 = rotate(v2, 32)
        low = (v2Low + v1Low) | 0;
        high = (v2High + v1High + (low >>> 0 < v2Low >>> 0 ? 1 : 0)) | 0;
        turned = (v1Low << 17) | (v1High >>> 15);
        v1High = ((v1High << 17) | (v1Low >>> 15)) ^ high;
        v1Low = turned ^ low;
        v2Low = high;
        v2High = low;
      }
      v0Low ^= mLow;
      v0High ^= mHigh;
    }
    words[at + 2] = v0Low ^ v1Low ^ v2Low ^ v3Low;
    words[at + 3] = v0High ^ v1High ^ v2High ^ v3High;
  };
}

/** Writes `text` as UTF-8, except that a lone surrogate keeps its own three bytes instead of collapsing into U+FFFD. */
function writeText(text: string, bytes: Uint8Array): number {
  let length = 0;
  for (let i = 0; i < text.length; i++) {
    let code = text.charCodeAt(i);
    if (code < 0x80) {
      bytes[length++] = code;
      continue;
    }
    if (code < 0x800) {
      bytes[length++] = 0xc0 | (code >> 6);
      bytes[length++] = 0x80 | (code & 0x3f);
      continue;
    }
    if (code >= 0xd800 && code < 0xdc00) {
      const next = text.charCodeAt(i + 1);
      if (next >= 0xdc00 && next < 0xe000) {
        code = 0x10000 + ((code - 0xd800) << 10) + (next - 0xdc00);
        i++;
        bytes[length++] = 0xf0 | (code >> 18);
        bytes[length++] = 0x80 | ((code >> 12) & 0x3f);
        bytes[length++] = 0x80 | ((code >> 6) & 0x3f);
        bytes[length++] = 0x80 | (code & 0x3f);
        continue;
      }
    }
    bytes[length++] = 0xe0 | (code >> 12);
    bytes[length++] = 0x80 | ((code >> 6) & 0x3f);
    bytes[length++] = 0x80 | (code & 0x3f);
  }
  return length;
}
