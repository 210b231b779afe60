/**
 * How a customer's object is found without a lookup: its name is made from the namespace and the name the caller used.
 * Names past SUBJECT_BYTES_MAX are hashed, so that any subject fits the platform's bound on names. Called for every request.
 */
import type { Sha256 } from "./journal";

export const SUBJECT_BYTES_MAX = 200;

/** `<namespaceId>/<base64url of the name>`; longer names: `<namespaceId>/~<sha-256 hex>` (`~` is no base64url character). */
export function objectName(namespaceId: string, name: string, sha256: Sha256): string {
  const ascii = name.length <= SUBJECT_BYTES_MAX ? asciiBase64url(name) : null;
  if (ascii !== null) return `${namespaceId}/${ascii}`;
  const bytes = new TextEncoder().encode(name);
  if (bytes.length > SUBJECT_BYTES_MAX) return `${namespaceId}/~${sha256(name)}`;
  const base64 = btoa(String.fromCharCode(...bytes));
  return `${namespaceId}/${base64.replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "")}`;
}

const ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/** The same for names of ASCII characters, which nearly all are, at a tenth of the cost; null for others. */
function asciiBase64url(name: string): string | null {
  const { length } = name;
  let text = "";
  for (let i = 0; i < length; i += 3) {
    const a = name.charCodeAt(i);
    const b = i + 1 < length ? name.charCodeAt(i + 1) : 0;
    const c = i + 2 < length ? name.charCodeAt(i + 2) : 0;
    if ((a | b | c) > 127) return null;
    text += ALPHABET[a >> 2]! + ALPHABET[((a & 3) << 4) | (b >> 4)]!;
    if (i + 1 < length) text += ALPHABET[((b & 15) << 2) | (c >> 6)]!;
    if (i + 2 < length) text += ALPHABET[c & 63]!;
  }
  return text;
}
