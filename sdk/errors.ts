/**
 * What can go wrong with a call, as one class each: catch `TollgateError` for all of them, or the one you can handle.
 * `code` is stable and says the same as the class, for programs that hold two copies of this package.
 * Built from RFC 9457 problem bodies; an answer that is no problem (a proxy's HTML page) still becomes a `TollgateError`.
 */

/** An RFC 9457 problem, with the extension members of its type. */
export interface Problem {
  type?: string;
  title?: string;
  status?: number;
  detail?: string;
  /** `urn:request:<id>` */
  instance?: string;
  [extension: string]: unknown;
}

/** An HTTP answer that is not a success, as far as an error needs it. */
export interface Refusal {
  status: number;
  problem: Problem;
  requestId: string | null;
  /** What `Retry-After` asked for. */
  retryAfterMs: number | null;
}

const textOf = (value: unknown): string | null => (typeof value === "string" ? value : null);

/** `https://tollgate.dev/problems/over-limit` → `over-limit`; problems without a type of their own → `http-404`. */
function codeOf({ status, problem }: Refusal): string {
  const code = /\/problems\/([a-z0-9-]+)$/.exec(problem.type ?? "")?.[1];
  return code ?? `http-${status}`;
}

export class TollgateError extends Error {
  override readonly name: string = "TollgateError";
  /** The HTTP status; 0 when no answer came. */
  readonly status: number;
  /** The problem's type URI; `about:blank` when the status says it all. */
  readonly type: string;
  readonly code: string;
  readonly title: string;
  readonly detail: string;
  /** Quote it when you ask for help. */
  readonly requestId: string | null;
  readonly retryAfterMs: number | null;
  /** The body as received. */
  readonly problem: Problem;

  constructor(refusal: Refusal, options: { code?: string; cause?: unknown } = {}) {
    const { status, problem, requestId, retryAfterMs } = refusal;
    const title = problem.title ?? (status === 0 ? "No answer" : `HTTP ${status}`);
    const detail = problem.detail ?? title;
    super(detail, options.cause === undefined ? undefined : { cause: options.cause });
    this.status = status;
    this.type = problem.type ?? "about:blank";
    this.code = options.code ?? codeOf(refusal);
    this.title = title;
    this.detail = detail;
    this.requestId = requestId;
    this.retryAfterMs = retryAfterMs;
    this.problem = problem;
  }
}

const unanswered = (title: string, detail: string): Refusal => ({
  status: 0,
  problem: { title, detail },
  requestId: null,
  retryAfterMs: null,
});

/** Refused before anything was sent: the input cannot be sent exactly, or names nothing. */
export class InvalidInputError extends TollgateError {
  override readonly name = "InvalidInputError";
  constructor(detail: string) {
    super(unanswered("Invalid input", detail), { code: "invalid-input" });
  }
}

/** No answer: the connection failed or the attempt took too long. The call may or may not have happened. */
export class NetworkError extends TollgateError {
  override readonly name = "NetworkError";
  constructor(detail: string, cause?: unknown) {
    super(unanswered("No answer", detail), { code: "network", cause });
  }
}

/** 400, 413, 415, 422: the request says something the server cannot take; `detail` says what to change. */
export class InvalidRequestError extends TollgateError {
  override readonly name: string = "InvalidRequestError";
}

/** 401: no key, or one that is unknown, expired or revoked. */
export class AuthenticationError extends TollgateError {
  override readonly name = "AuthenticationError";
}

/** 403: the key lacks the scope. */
export class PermissionError extends TollgateError {
  override readonly name = "PermissionError";
}

export class NotFoundError extends TollgateError {
  override readonly name = "NotFoundError";
}

/** 402: an enforced call needs more credits than the wallet has. Nothing was recorded. */
export class InsufficientCreditsError extends TollgateError {
  override readonly name = "InsufficientCreditsError";
  /** Exact decimals. */
  readonly available = textOf(this.problem.available);
  readonly required = textOf(this.problem.required);
  readonly currency = textOf(this.problem.currency);
}

/** 402: an enforced call would pass the wallet's spend cap. Nothing was recorded. */
export class SpendCapError extends TollgateError {
  override readonly name = "SpendCapError";
}

/** 403: a hard entitlement limit is reached. Nothing was recorded. */
export class OverLimitError extends TollgateError {
  override readonly name = "OverLimitError";
  readonly limit = this.problem.limit;
  readonly used = this.problem.used;
  /** When the limit starts anew, RFC 3339. */
  readonly resetsAt = textOf(this.problem.resetsAt);
}

/** 403: the wallet is frozen; facts are still taken, enforced calls are not. */
export class WalletFrozenError extends TollgateError {
  override readonly name = "WalletFrozenError";
}

/** 422: an enforced call whose usage no rule prices. */
export class UnpricedUsageError extends InvalidRequestError {
  override readonly name = "UnpricedUsageError";
}

/** 409: this id was used before, with another body. */
export class IdempotencyConflictError extends TollgateError {
  override readonly name = "IdempotencyConflictError";
}

/** 429, after the retries. `retryAfterMs` says how long the server asked to wait. */
export class RateLimitedError extends TollgateError {
  override readonly name = "RateLimitedError";
}

/** The customer's object is at its capacity. Never retried by itself: send less, then try again with the same id. */
export class OverloadedError extends TollgateError {
  override readonly name = "OverloadedError";
}

const byCode: { [code: string]: new (refusal: Refusal) => TollgateError } = {
  "insufficient-credits": InsufficientCreditsError,
  "spend-cap": SpendCapError,
  "over-limit": OverLimitError,
  "wallet-frozen": WalletFrozenError,
  "unpriced-usage": UnpricedUsageError,
  "idempotency-conflict": IdempotencyConflictError,
  overloaded: OverloadedError,
};

const byStatus: { [status: number]: new (refusal: Refusal) => TollgateError } = {
  400: InvalidRequestError,
  401: AuthenticationError,
  403: PermissionError,
  404: NotFoundError,
  413: InvalidRequestError,
  415: InvalidRequestError,
  422: InvalidRequestError,
  429: RateLimitedError,
};

/** The most specific class for an answer: by the problem's type, then by status. */
export function errorOf(refusal: Refusal): TollgateError {
  const known = byCode[codeOf(refusal)] ?? byStatus[refusal.status] ?? TollgateError;
  return new known(refusal);
}
