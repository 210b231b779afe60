import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { errorOf, NetworkError, type TollgateError } from "./errors";
import { parseRetryAfterMs, RETRY_DEFAULTS, retryDelayMs } from "./retry";

const answered = (status: number, code?: string, retryAfterMs: number | null = null): TollgateError =>
  errorOf({
    status,
    problem: code === undefined ? {} : { type: `https://tollgate.dev/problems/${code}` },
    requestId: null,
    retryAfterMs,
  });

const delay = (error: TollgateError, attempt = 1, elapsedMs = 0, dice = 0.5) =>
  retryDelayMs(RETRY_DEFAULTS, error, attempt, elapsedMs, () => dice);

describe("retryDelayMs", () => {
  it.each([408, 429, 500, 502, 503, 504])("tries again after %d", (status) => {
    expect(delay(answered(status))).not.toBeNull();
  });

  it("tries again when no answer came", () => expect(delay(new NetworkError("gone"))).not.toBeNull());

  it.each([400, 401, 402, 403, 404, 409, 413, 415, 422])("takes %d for an answer", (status) => {
    expect(delay(answered(status))).toBeNull();
  });

  it("never tries again on overload, whatever Retry-After says", () => {
    expect(delay(answered(503, "overloaded"))).toBeNull();
    expect(delay(answered(503, "overloaded", 1_000))).toBeNull();
    expect(delay(answered(429, "overloaded"))).toBeNull();
  });

  it("draws each wait from [0, bound), and doubles the bound up to the cap", () => {
    const bounds = [1, 2, 3, 4].map((attempt) => delay(answered(500), attempt, 0, 1));
    expect(bounds).toEqual([100, 200, 400, 800]);
    expect(delay(answered(500), 1, 0, 0)).toBe(0);
    const patient = { ...RETRY_DEFAULTS, attemptsMax: 50, totalMs: Infinity };
    expect(retryDelayMs(patient, answered(500), 49, 0, () => 1)).toBe(RETRY_DEFAULTS.capMs);
  });

  it("never comes back before Retry-After, and spreads those who were told the same", () => {
    expect(delay(answered(429, undefined, 2_000), 1, 0, 0)).toBe(2_000);
    expect(delay(answered(429, undefined, 2_000), 1, 0, 0.5)).toBe(2_050);
  });

  it("gives up after attemptsMax, and rather than wait past totalMs", () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 10 }),
        fc.integer({ min: 0, max: 60_000 }),
        fc.option(fc.integer({ min: 0, max: 60_000 })),
        fc.double({ min: 0, max: 0.999, noNaN: true }),
        (attempt, elapsedMs, retryAfterMs, dice) => {
          const wait = delay(answered(503, undefined, retryAfterMs), attempt, elapsedMs, dice);
          expect(wait !== null && attempt >= RETRY_DEFAULTS.attemptsMax).toBe(false);
          expect(wait === null ? 0 : elapsedMs + wait).toBeLessThan(RETRY_DEFAULTS.totalMs);
        },
      ),
    );
  });
});

describe("parseRetryAfterMs", () => {
  it("reads seconds and dates, and ignores what is neither", () => {
    const nowMs = Date.UTC(2026, 0, 1);
    expect(parseRetryAfterMs("3", nowMs)).toBe(3_000);
    expect(parseRetryAfterMs("Thu, 01 Jan 2026 00:00:07 GMT", nowMs)).toBe(7_000);
    expect(parseRetryAfterMs("Wed, 31 Dec 2025 00:00:00 GMT", nowMs)).toBe(0);
    expect(parseRetryAfterMs("soon", nowMs)).toBeNull();
    expect(parseRetryAfterMs(null, nowMs)).toBeNull();
  });
});
