/** One-line builders of the suite's data. Everything has a default; a test names what it is about. */
import { ulid } from "ulid";
import type { RatingMessage, Rollup } from "../../schema/messages";
import type { NewApiKey } from "../api-keys";
import type { BurnTableRow } from "../burn-tables";
import type { MeterList, MeterRow, NewMeter } from "../meters";
import type { CustomerList, CustomerRow } from "../customers";
import { createNamespace, type NewNamespace } from "../namespaces";
import type { Page, PageRequest } from "../page";
import type { Store } from "../store";

export const NOW = Date.UTC(2026, 10, 21, 9, 30);
export const MINUTE_MS = 60_000;
export const HOUR_MS = 60 * MINUTE_MS;
export const DAY_MS = 24 * HOUR_MS;
/** Every meter there is. */
export const ALL_METERS: MeterList = { orderBy: "key", order: "ASC", includeDeleted: false, offset: 0, limit: 1_000 };
/** Every customer there is. */
export const ALL_CUSTOMERS: CustomerList = {
  orderBy: "id",
  order: "ASC",
  includeDeleted: false,
  offset: 0,
  limit: 1_000,
};
/** Every window there is. */
export const EVER = { from: 0, to: NOW + 1_000 * HOUR_MS };

export const namespaceRow = (of: Partial<NewNamespace> = {}): NewNamespace => ({
  id: ulid(),
  key: `ns-${ulid().toLowerCase()}`,
  kind: "live",
  createdAt: NOW,
  ...of,
});

/** Opens a namespace and answers its id. */
export async function newNamespace(store: Store, of: Partial<NewNamespace> = {}): Promise<string> {
  const row = namespaceRow(of);
  await createNamespace(store, row);
  return row.id;
}

export const apiKey = (of: Partial<NewApiKey> = {}): NewApiKey => ({
  id: ulid(),
  name: "server",
  prefix: "tg_live_4f",
  hash: `sha256 of ${ulid()}`,
  scopes: ["ingest", "read"],
  createdAt: NOW,
  expiresAt: null,
  ...of,
});

export const meter = (of: Partial<MeterRow> = {}): NewMeter => ({
  id: ulid(),
  key: "tokens",
  eventType: "gpt-4",
  aggregation: "SUM",
  valueProperty: "$.usage.inputTokens",
  groupBy: { model: "$.model" },
  eventFrom: null,
  name: null,
  description: null,
  metadata: null,
  configVersion: 0,
  createdAt: NOW,
  updatedAt: NOW,
  ...of,
});

export const burnTable = (of: Partial<BurnTableRow> = {}): BurnTableRow => ({
  key: "standard",
  version: 1,
  currency: "CREDITS",
  effectiveFrom: NOW,
  isDefault: false,
  body: '{"rules":[]}',
  createdAt: NOW,
  ...of,
});

export const rollup = (of: Partial<Rollup> = {}): Rollup => ({
  meter: "tokens",
  resolution: "minute",
  windowStart: NOW,
  group: "[]",
  count: 1,
  sum: "1",
  min: "1",
  max: "1",
  latest: "1",
  latestAt: NOW,
  ...of,
});

export const rating = (of: Partial<RatingMessage> & { namespaceId: string }): RatingMessage => ({
  v: 1,
  object: `${of.namespaceId}/YWNtZQ`,
  epoch: "01J00000000000000000000000",
  seq: 1,
  sentAt: NOW,
  rollups: [],
  eventCount: 1,
  customer: {
    id: "01JCUST0000000000000000000",
    key: "acme",
    name: null,
    home: `${of.namespaceId}/YWNtZQ`,
    createdAt: NOW,
  },
  ...of,
});

export const customer = (of: Partial<CustomerRow> & { namespaceId: string }): CustomerRow => ({
  id: ulid(),
  key: null,
  name: "ACME Inc.",
  home: `${of.namespaceId}/aG9tZQ`,
  description: null,
  primaryEmail: null,
  currency: null,
  billingAddress: null,
  metadata: null,
  createdAt: NOW,
  updatedAt: NOW,
  deletedAt: null,
  ...of,
});

/** Every item of a list, read `limit` at a time. */
export async function everyPage<T>(read: (request: PageRequest) => Promise<Page<T>>, limit: number): Promise<T[]> {
  const items: T[] = [];
  let cursor: string | null = null;
  do {
    const page: Page<T> = await read({ cursor, limit });
    items.push(...page.items);
    cursor = page.nextCursor;
  } while (cursor !== null);
  return items;
}
