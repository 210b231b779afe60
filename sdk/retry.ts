/**
 * When to try again, and after how long. Pure: the caller owns the clock, the dice and the waiting.
 * Retried: no answer, 408, 429, 5xx. Never retried: overload (more traffic is the last thing that helps) and every
 * other answer. Waits are exponential with full jitter; `Retry-After` is a floor under them. Attempts and time are bounded.
 */
import { NetworkError, OverloadedError, type TollgateError } from "./errors";

export interface RetryPolicy {
  /** Tries in all, the first included. 1 turns retries off. */
  attemptsMax: number;
  /** The first wait is random in [0, baseMs), and each further bound is twice the one before. */
  baseMs: number;
  /** No backoff bound grows past this. */
  capMs: number;
  /** No attempt starts, and none runs on, past this age of the call. */
  totalMs: number;
}

/** Five tries ride out a deploy or a moved object (seconds); 30 s is as long as a request handler should hang. */
export const RETRY_DEFAULTS: RetryPolicy = { attemptsMax: 5, baseMs: 100, capMs: 5_000, totalMs: 30_000 };

export const isRetryable = (error: TollgateError): boolean => {
  if (error instanceof OverloadedError) return false;
  if (error instanceof NetworkError) return true;
  return error.status === 408 || error.status === 429 || error.status >= 500;
};

/** How long to wait after attempt number `attempt` (from 1) failed with `error`; null: give up and throw it. */
export function retryDelayMs(
  policy: RetryPolicy,
  error: TollgateError,
  attempt: number,
  elapsedMs: number,
  random: () => number,
): number | null {
  if (attempt >= policy.attemptsMax || !isRetryable(error)) return null;
  const backoffMs = random() * Math.min(policy.capMs, policy.baseMs * 2 ** (attempt - 1));
  const delayMs = (error.retryAfterMs ?? 0) + backoffMs;
  return elapsedMs + delayMs < policy.totalMs ? delayMs : null;
}

/** `Retry-After` is seconds or a date. Anything else is as if it were absent. */
export function parseRetryAfterMs(header: string | null, nowMs: number): number | null {
  if (header === null) return null;
  const text = header.trim();
  if (/^\d{1,9}$/.test(text)) return Number(text) * 1_000;
  const atMs = Date.parse(text);
  return Number.isNaN(atMs) ? null : Math.max(0, atMs - nowMs);
}
