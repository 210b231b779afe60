/** Refusals of core as they cross to the edge: decimals as text. */
import type { GrantRefusal, PatchRefusal, RatingRefusal, SpendRefusal } from "../core/account";
import { formatDecimal } from "../core/decimal";
import type { Refusal } from "./rpc";

export function refusal(
  core:
    | RatingRefusal
    | SpendRefusal
    | GrantRefusal
    | PatchRefusal
    | { reason: "unknown_grant" | "grant_closed" | "unknown_event" | "already_voided"; detail: string },
): Refusal {
  switch (core.reason) {
    case "unpriced":
      return { ok: false, reason: "unpriced_usage", detail: core.detail };
    case "insufficient_credits":
      return {
        ok: false,
        reason: core.reason,
        available: formatDecimal(core.available),
        required: formatDecimal(core.required),
        currency: core.currency,
      };
    case "wallet_frozen":
    case "currency_mismatch":
    case "at_bound":
    case "invalid":
    case "idempotency_conflict":
    case "unknown_burn_table":
    case "unknown_grant":
    case "unknown_event":
    case "already_voided":
    case "grant_closed":
      return { ok: false, ...core };
  }
}

export const invalid = (detail: string): Refusal => ({ ok: false, reason: "invalid", detail });
