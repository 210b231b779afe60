/**
 * The client: one object per namespace and key, safe to share and to keep. Runs where fetch runs.
 * Every call resolves with the server's answer or rejects with a `TollgateError`; a lost answer is asked for again with the
 * same id, so nothing is recorded twice. It keeps no state but the batches you make.
 */
import { ApiKeys, Namespaces } from "./access";
import { Batch, type BatchOptions } from "./batch";
import { BurnTables } from "./burn-tables";
import { InvalidInputError } from "./errors";
import { Events } from "./events";
import { DeadLetters, TestClock } from "./operations";
import { RETRY_DEFAULTS, type RetryPolicy } from "./retry";
import { platform, type Runtime } from "./runtime";
import { Transport, type CallOptions } from "./transport";
import type {
  CheckInput,
  CheckResult,
  ConsumeInput,
  Cost,
  QuoteInput,
  Status,
  TrackInput,
  TrackResult,
  WireWallet,
} from "./types";
import { customerOf, SOURCE_DEFAULT, timestamp, withCustomer } from "./usage";
import { walletOf, Wallets } from "./wallets";

export interface TollgateOptions {
  /** `tg_…`; the local server's is `tg_local`. */
  apiKey: string;
  /** Where your Worker answers. Default: the local server of `npm start`, http://localhost:8787. */
  baseUrl?: string;
  /** Of each attempt; a call's attempts together are bounded by `retry.totalMs`. Default 10,000. */
  timeoutMs?: number;
  retry?: Partial<RetryPolicy>;
  /** What `tg.batch()` starts from. */
  batch?: BatchOptions;
  /** Replaces the global one: for proxies, tracing, tests. */
  fetch?: Runtime["fetch"];
  /** Clock, timers, dice and ids, for tests that must not wait. */
  runtime?: Partial<Omit<Runtime, "fetch">>;
}

export const BASE_URL_DEFAULT = "http://localhost:8787";
/** A durable answer takes milliseconds; 10 s without one means that the connection is gone. */
export const TIMEOUT_MS_DEFAULT = 10_000;

export class Tollgate {
  readonly events: Events;
  readonly wallets: Wallets;
  readonly burnTables: BurnTables;
  readonly apiKeys: ApiKeys;
  readonly namespaces: Namespaces;
  readonly clock: TestClock;
  readonly deadLetters: DeadLetters;

  readonly #transport: Transport;
  readonly #batchOptions: BatchOptions;

  constructor(options: TollgateOptions) {
    const {
      apiKey,
      baseUrl = BASE_URL_DEFAULT,
      timeoutMs = TIMEOUT_MS_DEFAULT,
      retry,
      batch = {},
      fetch,
      runtime,
    } = options;
    if (typeof apiKey !== "string" || apiKey === "") {
      throw new InvalidInputError('apiKey is missing: new Tollgate({ apiKey: "tg_…" }).');
    }
    if (!/^https?:\/\//.test(baseUrl))
      throw new InvalidInputError(`baseUrl "${baseUrl}" must start with http:// or https://.`);
    const config = { apiKey, baseUrl: baseUrl.replace(/\/+$/, ""), timeoutMs, retry: { ...RETRY_DEFAULTS, ...retry } };
    const transport = new Transport(config, { ...platform(), ...runtime, ...(fetch ? { fetch } : {}) });
    this.#transport = transport;
    this.#batchOptions = batch;
    this.events = new Events(transport);
    this.wallets = new Wallets(transport);
    this.burnTables = new BurnTables(transport);
    this.apiKeys = new ApiKeys(transport);
    this.namespaces = new Namespaces(transport);
    this.clock = new TestClock(transport);
    this.deadLetters = new DeadLetters(transport);
  }

  /** Records what happened, and debits it. Never refused for money: what the credits do not cover is owed. */
  async track(input: TrackInput, options: CallOptions = {}): Promise<TrackResult> {
    const { time, ...rest } = withCustomer(input);
    // The id of the event is the key of the operation: one of the two is enough, and two could disagree.
    const { idempotencyKey, ...call } = options;
    const body = {
      ...rest,
      id: rest.id ?? idempotencyKey ?? this.#transport.runtime.newId(),
      source: rest.source ?? SOURCE_DEFAULT,
      time: time === undefined ? undefined : timestamp(time),
    };
    const request = { method: "POST", path: "/api/v1/track", body } as const;
    const answer = await this.#transport.send<Omit<TrackResult, "wallet"> & { wallet: WireWallet }>(request, call);
    return { ...answer, wallet: walletOf(answer.wallet) };
  }

  /** `track` that asks first: rejects with `InsufficientCreditsError` or `OverLimitError`, and then nothing is recorded. */
  consume(input: ConsumeInput, options?: CallOptions): Promise<TrackResult> {
    return this.track({ ...input, enforce: true }, options);
  }

  /** Would `consume` be allowed now? Changes nothing, promises nothing: only `consume` and holds keep credits. */
  async check(input: CheckInput, options?: CallOptions): Promise<CheckResult> {
    const request = { method: "POST", path: "/api/v1/check", body: withCustomer(input) } as const;
    const { wallet, ...answer } = await this.#transport.send<Omit<CheckResult, "wallet"> & { wallet?: WireWallet }>(
      request,
      options,
    );
    return wallet ? { ...answer, wallet: walletOf(wallet) } : answer;
  }

  /** What this usage costs: by the customer's table, or by the namespace's default. */
  quote(input: QuoteInput, options?: CallOptions): Promise<Cost> {
    const { customer, userId, time, ...rest } = input;
    const body = {
      ...rest,
      customer: customer === undefined && userId === undefined ? undefined : customerOf({ customer, userId }),
      time: time === undefined ? undefined : timestamp(time),
    };
    return this.#transport.send({ method: "POST", path: "/api/v1/quote", body }, options);
  }

  /** A buffer that sends usage in large calls. Yours to `flush()` and `close()`. */
  batch(options: BatchOptions = {}): Batch {
    const ingestJson = (json: string) => this.events.ingestJson(json);
    return new Batch(ingestJson, this.#transport.runtime, { ...this.#batchOptions, ...options });
  }

  /** What an operator watches. Needs the scope `admin`. */
  status(options?: CallOptions): Promise<Status> {
    return this.#transport.send({ method: "GET", path: "/api/v1/status" }, options);
  }
}
