/**
 * Refusals as RFC 9457 problems. A `Problem` is thrown by whoever notices, and app.ts turns it into the response.
 * Everything else that is thrown becomes a 500 with a fixed text and the request's id; its cause goes to the log only.
 */
import type { Refusal } from "../../durable-objects/rpc";
import { PROBLEM_BASE, type ProblemCode } from "../../schema/contract/problem";

const TITLES: Record<number, string> = {
  400: "Bad Request",
  401: "Unauthorized",
  402: "Payment Required",
  403: "Forbidden",
  404: "Not Found",
  405: "Method Not Allowed",
  409: "Conflict",
  412: "Precondition Failed",
  413: "Content Too Large",
  415: "Unsupported Media Type",
  422: "Unprocessable Content",
  500: "Internal Server Error",
  501: "Not Implemented",
  503: "Service Unavailable",
};

/** Where a body or parameter is wrong, and what would be right. */
export interface ValidationError {
  field: string;
  message: string;
  index?: number;
}

export interface ProblemOptions {
  /** Set wherever a program must tell this case from another of the same status. */
  code?: ProblemCode;
  /** The evidence, for programs. */
  evidence?: Record<string, unknown>;
  headers?: Record<string, string>;
}

export class Problem extends Error {
  readonly code: ProblemCode | undefined;
  readonly evidence: Record<string, unknown> | undefined;
  readonly headers: Record<string, string>;

  constructor(
    readonly status: number,
    detail: string,
    { code, evidence, headers = {} }: ProblemOptions = {},
  ) {
    super(detail);
    this.code = code;
    this.evidence = evidence;
    this.headers = headers;
  }
}

export function problemResponse(problem: Problem, requestId: string): Response {
  const { status, code, evidence, headers, message: detail } = problem;
  const said = {
    type: code === undefined ? "about:blank" : PROBLEM_BASE + code,
    title: TITLES[status] ?? "Error",
    status,
    detail,
    instance: `urn:request:${requestId}`,
  };
  // Twice: first for the order that people read in, last so that evidence can never rewrite what the problem says.
  const body = { ...said, ...evidence, ...(evidence && { extensions: evidence }), ...said };
  return new Response(JSON.stringify(body), {
    status,
    headers: { ...headers, "content-type": "application/problem+json" },
  });
}

export function invalid(errors: ValidationError[]): Problem {
  const first = errors[0];
  const where =
    first === undefined
      ? ""
      : `${first.index === undefined ? "" : `event ${first.index}: `}${first.field === "" ? "" : `${first.field} `}`;
  const more = errors.length > 1 ? ` (and ${errors.length - 1} more)` : "";
  return new Problem(400, `${where}${first?.message ?? "the request is not valid"}${more}`, {
    evidence: { validationErrors: errors },
  });
}

export const notFound = (what: string, code?: ProblemCode): Problem =>
  new Problem(404, `${what} does not exist`, { ...(code && { code }) });

const RETRY_AFTER_SECONDS = 2;
const OVERLOADED_RETRY_AFTER_SECONDS = 10;

/** Nothing is lost and nothing is half done that a repetition would do twice. */
export const tryAgain = (detail: string, evidence?: Record<string, unknown>): Problem =>
  new Problem(503, detail, {
    code: "try-again",
    headers: { "retry-after": String(RETRY_AFTER_SECONDS) },
    ...(evidence && { evidence }),
  });

/** Not to be repeated at once: the SDK does not, and neither should anyone else. */
export const overloaded = (detail: string, evidence?: Record<string, unknown>): Problem =>
  new Problem(503, detail, {
    code: "overloaded",
    headers: { "retry-after": String(OVERLOADED_RETRY_AFTER_SECONDS) },
    ...(evidence && { evidence }),
  });

/** A meter is younger than the events it counts: until all are folded there is no answer, rather than a smaller number. */
export const folding = (what: string, { done, total }: { done: number; total: number }): Problem =>
  new Problem(
    503,
    `this meter is being built from events that are older than it: ${done} of ${total} ${what} are counted; ask again`,
    {
      code: "folding",
      headers: { "retry-after": String(RETRY_AFTER_SECONDS) },
      evidence: { done, total },
    },
  );

/** What a customer's object refused. Exhaustive on purpose: a new refusal must be given its status here. */
export function refusalProblem(refusal: Refusal): Problem {
  switch (refusal.reason) {
    case "unknown_customer":
      return new Problem(404, "no customer has this id", { code: "unknown-customer" });
    case "insufficient_credits": {
      const { available, required, currency } = refusal;
      return new Problem(402, `${required} ${currency} are required and ${available} are available`, {
        code: "insufficient-credits",
        evidence: { available, required, currency },
      });
    }
    case "unpriced_usage":
      return new Problem(422, refusal.detail, { code: "unpriced-usage" });
    case "wallet_frozen":
      return new Problem(403, "the wallet is frozen", { code: "wallet-frozen" });
    case "currency_mismatch": {
      const { wallet, table } = refusal;
      return new Problem(422, `the wallet holds ${wallet}, and ${table} cannot be mixed into it`, {
        code: "currency-mismatch",
        evidence: { wallet, table },
      });
    }
    case "idempotency_conflict":
      return new Problem(409, refusal.detail, { code: "idempotency-conflict" });
    case "unknown_grant":
      return new Problem(404, refusal.detail, { code: "unknown-grant" });
    case "unknown_event":
      return new Problem(404, refusal.detail, { code: "unknown-event" });
    case "already_voided":
      return new Problem(409, refusal.detail, { code: "already-voided" });
    case "unknown_meter":
      return tryAgain("the meter has just been changed or deleted; ask again");
    case "folding":
      return folding("log entries", refusal);
    case "grant_closed":
      return new Problem(409, refusal.detail, { code: "grant-closed" });
    case "unknown_burn_table":
      return new Problem(422, refusal.detail, { code: "unknown-burn-table" });
    case "invalid":
      return new Problem(400, refusal.detail);
    case "at_bound":
      return new Problem(422, refusal.detail, { code: "at-bound" });
  }
}
