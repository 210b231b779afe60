/**
 * Expected outcomes are values; a throw is a bug or the platform.
 * `Result` carries either the value or one tagged refusal with the evidence a caller needs to explain it.
 */
export type Result<T, R> = { ok: true; value: T } | { ok: false; refusal: R };

export const ok = <T>(value: T): { ok: true; value: T } => ({ ok: true, value });

export const refuse = <R>(refusal: R): { ok: false; refusal: R } => ({ ok: false, refusal });

/** Throws on a broken invariant. The message says which promise was broken; it never reaches a client. */
export function assert(condition: unknown, promise: string): asserts condition {
  if (!condition) throw new Error(`invariant broken: ${promise}`);
}
