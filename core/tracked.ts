/**
 * Usage that somebody asks about by name: a track, check or quote gives feature and quantities outright, where an event of
 * `/events` must be mapped (usage.ts). Also when two tracks of one id are the same track.
 */
import type { Usage } from "./burn-table";
import type { UsageEvent } from "./event";
import { ok, type Result } from "./result";
import { readUsage, type FieldFault } from "./usage";

/** `{feature, usage, provider?, model?}` as a request carries it. */
export interface Asked {
  feature: string;
  usage?: unknown;
  provider?: unknown;
  model?: unknown;
}

export function askedUsage({ feature, usage, provider, model }: Asked): Result<Usage, FieldFault> {
  const quantities = readUsage(usage);
  if (!quantities.ok) return quantities;
  return ok({
    feature,
    ...(typeof provider === "string" && { provider }),
    ...(typeof model === "string" && { model }),
    quantities: quantities.value,
  });
}

/** A tracked event's type is its feature; its data carries the rest. */
export const trackedUsage = ({ type, data }: UsageEvent): Result<Usage, FieldFault> =>
  askedUsage({ feature: type, usage: data?.["usage"], provider: data?.["provider"], model: data?.["model"] });

/** Do both events report the same usage of the same thing? Time and metadata are not compared. */
export function sameUsage(a: UsageEvent, b: UsageEvent): boolean {
  const [left, right] = [trackedUsage(a), trackedUsage(b)];
  if (!left.ok || !right.ok) return false;
  const [x, y] = [left.value, right.value];
  if (x.feature !== y.feature || x.provider !== y.provider || x.model !== y.model) return false;
  if (x.quantities.size !== y.quantities.size) return false;
  for (const [dimension, quantity] of x.quantities) if (y.quantities.get(dimension) !== quantity) return false;
  return true;
}
