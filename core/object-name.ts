/**
 * How a customer's object is found without a lookup: its name is made from the namespace and the name the caller used.
 * Names past SUBJECT_BYTES_MAX are hashed, so that any subject fits the platform's bound on names.
 */
import type { Sha256 } from "./journal";

export const SUBJECT_BYTES_MAX = 200;

/** `<namespaceId>/<base64url of the name>`; longer names: `<namespaceId>/~<sha-256 hex>` (`~` is no base64url character). */
export function objectName(namespaceId: string, name: string, sha256: Sha256): string {
  const bytes = new TextEncoder().encode(name);
  if (bytes.length > SUBJECT_BYTES_MAX) return `${namespaceId}/~${sha256(name)}`;
  const base64 = btoa(String.fromCharCode(...bytes));
  return `${namespaceId}/${base64.replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "")}`;
}
