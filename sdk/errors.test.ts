import { expect, it } from "vitest";
import { double, problem } from "./double";
import * as errors from "./errors";

const thrown = async (reply: Parameters<typeof problem>): Promise<errors.TollgateError> => {
  const d = double(() => problem(...reply), { retry: { attemptsMax: 1 } });
  const error: unknown = await d.settle(d.tg.status()).catch((e: unknown) => e);
  if (!(error instanceof errors.TollgateError)) throw new Error("not a TollgateError");
  return error;
};

it.each([
  [402, "insufficient-credits", errors.InsufficientCreditsError],
  [402, "spend-cap", errors.SpendCapError],
  [403, "over-limit", errors.OverLimitError],
  [403, "wallet-frozen", errors.WalletFrozenError],
  [409, "idempotency-conflict", errors.IdempotencyConflictError],
  [422, "unpriced-usage", errors.UnpricedUsageError],
  [503, "overloaded", errors.OverloadedError],
  [400, null, errors.InvalidRequestError],
  [401, null, errors.AuthenticationError],
  [403, null, errors.PermissionError],
  [404, null, errors.NotFoundError],
  [413, null, errors.InvalidRequestError],
  [415, null, errors.InvalidRequestError],
  [422, "a-problem-of-tomorrow", errors.InvalidRequestError],
  [429, null, errors.RateLimitedError],
  [409, null, errors.TollgateError],
  [500, null, errors.TollgateError],
])("%d %s is an error of its own class, named like it", async (status, code, expected) => {
  const error = await thrown([status, code]);
  expect(error.constructor).toBe(expected);
  expect(error.name).toBe(expected.name);
  expect(error).toMatchObject({
    status,
    type: code === null ? "about:blank" : `https://tollgate.dev/problems/${code}`,
    code: code ?? `http-${status}`,
    title: `problem ${status}`,
    detail: `detail of ${code ?? status}`,
    message: `detail of ${code ?? status}`,
    requestId: "req_1",
  });
});

it("carries what the wallet has and what the call needs", async () => {
  const error = await thrown([402, "insufficient-credits", { available: "0.10", required: "2.5", currency: "USD" }]);
  expect(error).toMatchObject({ available: "0.10", required: "2.5", currency: "USD" });
});

it("carries the limit, its use and its reset", async () => {
  const error = await thrown([403, "over-limit", { limit: "100", used: "99", resetsAt: "2026-02-01T00:00:00Z" }]);
  expect(error).toMatchObject({ limit: "100", used: "99", resetsAt: "2026-02-01T00:00:00Z" });
});

it("says that nothing answered, with the cause, when the connection breaks", async () => {
  const d = double(() => "no-answer");
  const error: unknown = await d.settle(d.tg.status()).catch((e: unknown) => e);
  expect(error).toBeInstanceOf(errors.NetworkError);
  expect(error).toMatchObject({
    status: 0,
    code: "network",
    detail: "http://localhost:8787 is out of reach: fetch failed",
  });
  expect((error as Error).cause).toBeInstanceOf(TypeError);
});
