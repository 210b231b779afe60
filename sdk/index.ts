/** The front door of `@tollgate/sdk`: usage metering, prepaid wallets and enforced quotas, from TypeScript. */
export { BASE_URL_DEFAULT, TIMEOUT_MS_DEFAULT, Tollgate, type TollgateOptions } from "./tollgate";
export { Batch, BATCH_DEFAULTS, BufferFullError, UndeliveredError, type BatchOptions, type Undelivered } from "./batch";
export {
  AuthenticationError,
  IdempotencyConflictError,
  InsufficientCreditsError,
  InvalidInputError,
  InvalidRequestError,
  NetworkError,
  NotFoundError,
  OverLimitError,
  OverloadedError,
  PermissionError,
  RateLimitedError,
  SpendCapError,
  TollgateError,
  UnpricedUsageError,
  WalletFrozenError,
  type Problem,
} from "./errors";
export { RETRY_DEFAULTS, type RetryPolicy } from "./retry";
export type { Page, PageQuery, Pages } from "./pages";
export type { CallOptions } from "./transport";
export type { Runtime } from "./runtime";
export type * from "./types";
