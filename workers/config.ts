/**
 * A namespace's configuration at the edge. A published version is immutable, so it is read once and remembered; publishing the
 * next one starts again whenever somebody else was faster, and this isolate knows the result at once (others within 30 s).
 */
import type { Rating } from "../core/account";
import { compileMeters, type CompiledMeters } from "../core/meter";
import { Configuration } from "../durable-objects/configuration";
import type { ConfigSnapshot } from "../durable-objects/rpc";
import { currentConfig, publishConfig, readSnapshot } from "../store/config";
import type { Statement, Violation } from "../store/store";
import { Problem, tryAgain } from "./api/problem";
import type { Context } from "./context";

export interface KnownConfig {
  snapshot: ConfigSnapshot;
  /** Compiled when somebody first needs them here. */
  rating?: Rating;
  meters?: CompiledMeters;
}

const NOTHING_PUBLISHED: ConfigSnapshot = { version: 0, burnTables: [], defaults: [], meters: [] };

async function knownConfig(context: Context, namespaceId: string, version: number): Promise<KnownConfig> {
  if (version === 0) return { snapshot: NOTHING_PUBLISHED };
  const key = `${namespaceId} ${version}`;
  const known = context.caches.configs.get(key, context.now());
  if (known !== undefined) return known;
  const text = await readSnapshot(context.store, namespaceId, version);
  if (text === null) throw tryAgain("the namespace's configuration has just changed; try again");
  const read: KnownConfig = { snapshot: JSON.parse(text) as ConfigSnapshot };
  context.caches.configs.set(key, read, context.now());
  return read;
}

/** What an object is configured with. */
export const snapshotOf = async (context: Context, namespaceId: string, version: number): Promise<ConfigSnapshot> =>
  (await knownConfig(context, namespaceId, version)).snapshot;

/** What prices usage that is nobody's yet. */
export async function ratingOf(context: Context, namespaceId: string, version: number): Promise<Rating> {
  const known = await knownConfig(context, namespaceId, version);
  if (known.rating === undefined) {
    const configuration = new Configuration();
    configuration.offer(known.snapshot);
    known.rating = configuration.rating;
  }
  return known.rating;
}

/** By which events are counted. */
export async function metersOf(context: Context, namespaceId: string, version: number): Promise<CompiledMeters> {
  const known = await knownConfig(context, namespaceId, version);
  return (known.meters ??= compileMeters(known.snapshot.meters));
}

/** More publications at the same time than people make. */
const PUBLISH_ATTEMPTS_MAX = 5;

/** What the next version holds, the rows that come with it, and what the publisher gets back. */
export interface Draft<T> {
  snapshot: Omit<ConfigSnapshot, "version">;
  statements: readonly Statement[];
  answer: T;
}

/**
 * `draft` makes the next configuration from the current one; it runs again when the current one has changed meanwhile. A unique
 * key that its rows met is the caller's to understand; null: it said to stop.
 */
export async function publish<T>(
  context: Context,
  namespaceId: string,
  draft: (current: ConfigSnapshot) => Draft<T>,
  onViolation: (violation: Violation) => "stop" | "again",
): Promise<T | null> {
  for (let attempt = 1; attempt <= PUBLISH_ATTEMPTS_MAX; attempt++) {
    const current = await currentConfig(context.store, namespaceId);
    if (current === null) throw new Error("a namespace that has a key does not exist");
    const before = current.snapshot === null ? NOTHING_PUBLISHED : (JSON.parse(current.snapshot) as ConfigSnapshot);
    const { snapshot, statements, answer } = draft(before);
    const next: ConfigSnapshot = { ...snapshot, version: current.version + 1 };
    const published = await publishConfig(
      context.store,
      namespaceId,
      current.version,
      JSON.stringify(next),
      statements,
      context.now(),
    );
    if (published.ok) {
      context.caches.configs.set(`${namespaceId} ${next.version}`, { snapshot: next }, context.now());
      context.caches.principals.deleteWhere((principal) => principal.namespaceId === namespaceId);
      context.caches.portalTokens.deleteWhere((access) => access.namespaceId === namespaceId);
      return answer;
    }
    const { refusal } = published;
    switch (refusal.reason) {
      case "snapshot_too_large":
        throw new Problem(
          422,
          `this would make the namespace's configuration ${refusal.bytes} bytes, of at most ${refusal.bytesMax}: use fewer rules and meters, or a price book`,
          { code: "at-bound" },
        );
      case "stale_version":
        break;
      case "violation":
        if (onViolation(refusal) === "stop") return null;
    }
  }
  throw tryAgain("the configuration is being changed by others; try again");
}
