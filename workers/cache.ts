/**
 * What an isolate remembers between requests: the only mutable module state of the Worker. Bounded, short-lived, and
 * never the truth: any entry may vanish at any time and the answers stay the same.
 */
import type { Principal } from "./api/auth";
import type { PortalAccess } from "../store/portal-tokens";
import type { KnownConfig } from "./config";

/** A Map that forgets an entry `ttlMs` after it was set, and the oldest one when it is full. */
export class TtlMap<V> {
  readonly #entries = new Map<string, { value: V; untilMs: number }>();

  constructor(
    readonly entriesMax: number,
    readonly ttlMs: number,
  ) {}

  get(key: string, nowMs: number): V | undefined {
    const entry = this.#entries.get(key);
    if (entry === undefined) return undefined;
    if (nowMs < entry.untilMs) return entry.value;
    this.#entries.delete(key);
    return undefined;
  }

  set(key: string, value: V, nowMs: number): void {
    // Deleted first, so that insertion order is age.
    this.#entries.delete(key);
    if (this.#entries.size >= this.entriesMax) this.#entries.delete(this.#entries.keys().next().value!);
    this.#entries.set(key, { value, untilMs: nowMs + this.ttlMs });
  }

  delete(key: string): void {
    this.#entries.delete(key);
  }

  deleteWhere(claim: (value: V) => boolean): void {
    for (const [key, { value }] of this.#entries) if (claim(value)) this.#entries.delete(key);
  }

  get size(): number {
    return this.#entries.size;
  }
}

export interface Caches {
  /** API key as sent → who it is. How long a revoked key or an old configuration may still be used. */
  principals: TtlMap<Principal>;
  /** Object name made from a customer's name → the object that owns it now. A hint: the object answers `moved` when it is wrong. */
  homes: TtlMap<string>;
  /** Object name made from a customer's id → the customer's key. */
  keys: TtlMap<string>;
  /** `<namespaceId> <token id>` → what it may do. How long a revoked portal token may still be used. */
  portalTokens: TtlMap<PortalAccess>;
  /** `<namespaceId> <version>` → configuration; immutable. */
  configs: TtlMap<KnownConfig>;
}

export const PRINCIPAL_TTL_MS = 30_000;

export const newCaches = (): Caches => ({
  principals: new TtlMap(10_000, PRINCIPAL_TTL_MS),
  portalTokens: new TtlMap(10_000, PRINCIPAL_TTL_MS),
  homes: new TtlMap(50_000, 300_000),
  keys: new TtlMap(10_000, 300_000),
  // Each is at most 1 MB, of an isolate's 128.
  configs: new TtlMap(16, 600_000),
});

export const isolateCaches = newCaches();
