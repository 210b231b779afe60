/**
 * What goes in and what comes out, as the HTTP contract says it (docs: /docs of a running server).
 * Decimals go in as number, bigint or text and come out as text, because a double cannot carry every amount; the one exception
 * is the wallet, whose numbers are for display and stand beside their exact text. Times come out as RFC 3339 text in UTC.
 * Written here and not inferred from the server's schemas, so that the published types need no zod; contract.typetest.ts holds the two together.
 */

/** An exact decimal: a safe number, a bigint, or decimal text such as "0.000001". At most 12 places. */
export type Quantity = number | bigint | string;
/** A `Date` or RFC 3339 text. */
export type Time = Date | string;
/** Decimal text, exact: "450.25". */
export type DecimalText = string;
/** RFC 3339 text in UTC. */
export type Timestamp = string;

export type JsonValue =
  | null
  | boolean
  | number
  | bigint
  | string
  | Date
  | JsonValue[]
  | { [key: string]: JsonValue | undefined };

/** A customer by id, key or subject key. `userId` is another name of the same field. */
export type CustomerRef = { customer: string; userId?: undefined } | { userId: string; customer?: undefined };

/** dimension → quantity: `{ inputTokens: 1_200, outputTokens: 300 }`. */
export type Usage = { [dimension: string]: Quantity };

/** What is priced: usage of a feature, perhaps of a provider's model. */
export interface UsageOf {
  feature: string;
  usage: Usage;
  provider?: string;
  model?: string;
}

/** What a track, single or in a batch, may say. */
export interface TrackFact extends UsageOf {
  /** `(source, id)` identifies the usage within the customer, for ever; generated when absent. */
  id?: string;
  source?: string;
  /** When it happened. */
  time?: Time;
  /** Kept beside the usage, for meters to group by. Not `usage`, `provider`, `model` or `feature`. */
  metadata?: { [key: string]: JsonValue };
}

export type ConsumeInput = CustomerRef & TrackFact;

/** `enforce`: refuse (402, 403) instead of recording what the wallet cannot pay; `tg.consume` sets it. */
export type TrackInput = ConsumeInput & { enforce?: boolean };

export interface CostLine {
  dimension: string;
  quantity: DecimalText;
  rate: DecimalText;
  per: DecimalText;
  amount: DecimalText;
}

export interface Cost {
  amount: DecimalText;
  currency: string;
  lines: CostLine[];
  burnTable: { key: string; version: number };
  /** The published price list that priced a line. */
  priceBook?: { name: string; version: string };
}

export type WalletStatus = "ACTIVE" | "EXHAUSTED" | "FROZEN";

/** Numbers to show; to compute with, take the same path below `exact`. */
export interface Wallet {
  /** null: nothing was ever written for this customer. */
  customerId: string | null;
  /** The customer's key. */
  userId: string;
  /** available + held. */
  balance: number;
  held: number;
  available: number;
  overdraftLimit: number;
  currency: string;
  status: WalletStatus;
  /** Debitable events that no rule prices yet. */
  unrated: number;
  /** The key of the burn table that prices this customer; null: the namespace's default. */
  burnTable: string | null;
  lastTransaction: { amount: number; reason: string; timestamp: Timestamp } | null;
  exact: {
    balance: DecimalText;
    held: DecimalText;
    available: DecimalText;
    overdraftLimit: DecimalText;
    lastTransaction: { amount: DecimalText } | null;
  };
}

/** The wallet as the server writes it. */
export type WireWallet = Omit<
  Wallet,
  "balance" | "held" | "available" | "overdraftLimit" | "lastTransaction" | "exact"
> & {
  balance: DecimalText;
  held: DecimalText;
  available: DecimalText;
  overdraftLimit: DecimalText;
  lastTransaction: { amount: DecimalText; reason: string; timestamp: Timestamp } | null;
};

export interface TrackResult {
  eventId: string;
  /** This `(source, id)` was known; the answer is the original one. Also true when a retry found its first attempt done. */
  duplicate: boolean;
  /** null: no rule prices it yet. It is recorded, and counted in `wallet.unrated`. */
  cost: Cost | null;
  wallet: Wallet;
}

export type CheckInput = CustomerRef & Omit<UsageOf, "usage"> & { usage?: Usage };

export type DenialReason =
  | "insufficient-credits"
  | "over-limit"
  | "no-entitlement"
  | "unpriced-usage"
  | "wallet-frozen"
  | "spend-cap";

export interface CheckResult {
  allowed: boolean;
  reason: DenialReason | null;
  cost?: Cost;
  wallet?: Wallet;
}

export type QuoteInput = UsageOf & { time?: Time } & (CustomerRef | { customer?: undefined; userId?: undefined });

/** A CloudEvent; `id`, `source` and `specversion` are filled in when absent. Extension attributes are kept. */
export interface EventInput {
  type: string;
  subject: string;
  id?: string;
  source?: string;
  specversion?: string;
  /** When it happened; absent: when the server gets it. */
  time?: Time;
  data?: { [key: string]: JsonValue } | null;
  datacontenttype?: string;
  dataschema?: string;
  [extension: string]: JsonValue | undefined;
}

export interface GrantInput {
  amount: Quantity;
  /** Of the wallet's first grant: fixes its currency. Later it must be that one. */
  currency?: string;
  kind: "paid" | "promo";
  /** Lower burns first. */
  priority?: number;
  effectiveAt?: Time;
  expiresAt?: Time | null;
  reason?: string;
  /** Yours, unique for the customer: repeated, the grant is the same one. */
  id?: string;
}

export interface Grant {
  id: string;
  amount: DecimalText;
  remaining: DecimalText;
  kind: "paid" | "promo";
  priority: number;
  effectiveAt: Timestamp;
  expiresAt: Timestamp | null;
  status: "pending" | "active" | "exhausted" | "expired" | "voided";
  reason: string;
  createdAt: Timestamp;
  voidedAt: Timestamp | null;
}

export interface WalletPatch {
  overdraftLimit?: Quantity;
  currency?: string;
  /** null: the namespace's default again. */
  burnTable?: string | null;
  status?: "ACTIVE" | "FROZEN";
}

export type TransactionType =
  | "grant"
  | "debit"
  | "shortfall"
  | "hold"
  | "capture"
  | "release"
  | "expire"
  | "void"
  | "refund"
  | "adjust"
  | "transfer";

export interface Transaction {
  id: string;
  type: TransactionType;
  amount: DecimalText;
  /** What moved between available and held. */
  held?: DecimalText;
  balanceAfter: DecimalText;
  reason: string;
  eventId?: string;
  grantId?: string;
  timestamp: Timestamp;
  /** Hex sha-256 over this entry's canonical form and the hash before it. */
  hash: string;
}

export interface Verification {
  valid: boolean;
  entries: number;
  balance: DecimalText;
  head: string;
  /** What is wrong, when something is. */
  detail?: string;
}

export interface BurnRuleInput {
  feature?: string;
  provider?: string;
  /** Exact, or a prefix ending in `*`. */
  model?: string;
  dimension: string;
  /** Credits per `per` units. */
  rate: Quantity;
  per: Quantity;
  /** Quantities are rounded up to a multiple of it first. */
  roundUpTo?: Quantity;
}

export type BurnRule = Omit<BurnRuleInput, "rate" | "per" | "roundUpTo"> & {
  rate: DecimalText;
  per: DecimalText;
  roundUpTo?: DecimalText;
};

/** Reads events of another shape as usage: JSONPaths into their data. */
export interface UsageMapping {
  eventType: string;
  where?: { [jsonPath: string]: string | number | boolean | null };
  feature: string;
  provider?: string;
  model?: string;
  usage: { [dimension: string]: string };
}

export interface BurnTableInput {
  key: string;
  currency: string;
  effectiveFrom?: Time;
  rules: BurnRuleInput[];
  /** Prices every customer whose wallet names no table. */
  default?: boolean;
  mappings?: UsageMapping[];
  markup?: Quantity;
  priceBook?: "genai-prices" | null;
}

export interface BurnTable {
  key: string;
  version: number;
  currency: string;
  effectiveFrom: Timestamp;
  default: boolean;
  rules: BurnRule[];
  mappings: UsageMapping[];
  markup: DecimalText;
  priceBook: "genai-prices" | null;
}

export type Scope = "ingest" | "read" | "write" | "billing" | "admin";

export interface ApiKey {
  id: string;
  name: string;
  prefix: string;
  scopes: Scope[];
  createdAt: Timestamp;
  expiresAt: Timestamp | null;
  /** To five minutes. */
  lastUsedAt: Timestamp | null;
}

/** The only answer that holds the key itself. */
export type NewApiKey = ApiKey & { key: string };

export interface Namespace {
  id: string;
  key: string;
  kind: "live" | "sandbox";
  createdAt: Timestamp;
}

/** `frozen`: the first `set` has stopped it; before, it runs with the wall clock. */
export interface ClockView {
  now: Timestamp;
  frozen: boolean;
}

/** How the deployment is doing, as the shared store knows it. */
export interface Status {
  /** The newest published configuration. */
  configVersion: number;
  /** The isolate that answered works with an older one, for at most 30 s. */
  staleConfiguration: boolean;
  customers: number;
  events: number;
  /** Totals on their way to the shared store: how many customers were asked, and how long the oldest unsent ones wait. */
  outbox: { checked: number; oldestSeconds: number | null };
  /** Debitable events that no rule prices yet. */
  unrated: number;
  /** Waiting to be replayed. */
  deadLetters: number;
  /** Off in local mode: overflow answers 503 instead. */
  spill: "on" | "off";
  /** Customers past 80 % of what one object may hold, the fullest first. */
  nearBound: { customer: string; events: number; eventsMax: number }[];
}

export interface DeadLetter {
  id: string;
  queue: string;
  reason: string;
  createdAt: Timestamp;
  replayedAt: Timestamp | null;
  message: unknown;
}
