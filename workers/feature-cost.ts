/**
 * What a feature's usage costs: a query of its meter, asked once for the whole and, where a published price changes on the way, once more
 * for each period of one price. What is asked and how it adds up is core/feature-cost's; here is the asking.
 */
import type { Aggregation } from "../core/aggregation";
import { pricedDimensions } from "../core/feature";
import { costRows, periodsToAsk, priceChanges, type CostRow, type Period, type Piece } from "../core/feature-cost";
import { rangeOf, type MeterQuery } from "../core/meter-query";
import type { MeterRow as UsageRow } from "../core/query-rows";
import { priceBook } from "../providers/price-book";
import type { FeatureRow } from "../store/features";
import { findMeter, type MeterRow } from "../store/meters";
import { notFound, Problem } from "./api/problem";
import { atOnce } from "./at-once";
import type { Context } from "./context";
import type { Tenant } from "./customers";
import { queryMeter, type QueryRequest } from "./meter-query";

/** Each is a query. A month of a model that is priced by the hour, with four changes a day. */
export const PRICE_PERIODS_MAX = 128;
const PERIODS_AT_ONCE = 4;

export interface FeatureCost {
  query: MeterQuery;
  rows: CostRow[];
}

/** `now` bounds the price of what lasts into the future. Throws the problem with the feature or the query. */
export async function queryFeatureCost(
  context: Context,
  tenant: Tenant,
  feature: FeatureRow,
  request: QueryRequest,
  now: number,
): Promise<FeatureCost> {
  const { unitCost, meterId } = feature;
  if (meterId === null)
    throw new Problem(400, `the feature ${feature.key} has no meter, so there is no usage to price`);
  if (unitCost === null) throw new Problem(400, `the feature ${feature.key} has no unitCost`);
  const meter = await findMeter(context.store, tenant.namespaceId, meterId);
  if (meter === null) throw notFound(`the meter of the feature ${feature.key}`);
  const groupBy = [...new Set(request.groupBy)];
  const asked: QueryRequest = {
    ...withFilters(request, feature),
    groupBy: [...new Set([...groupBy, ...pricedDimensions(unitCost)])],
  };
  const { query, rows } = await queryMeter(context, tenant, meter, asked);
  const period = periodOf(query, rows);
  const changes = priceChanges(unitCost, rows, period, priceBook);
  if (changes.length >= PRICE_PERIODS_MAX) {
    const detail = `the prices of these models change ${changes.length} times in this time, and at most ${PRICE_PERIODS_MAX - 1} changes are followed; ask for less time, or for fewer models`;
    throw new Problem(422, detail, { code: "at-bound" });
  }
  // Only workers/meters.ts writes the column, and it takes it from a Meter.
  const aggregation = meter.aggregation as Aggregation;
  const pieces =
    aggregation === "LATEST" || changes.length === 0
      ? [{ period: aggregation === "LATEST" ? until(period, now) : period, rows }]
      : await askPieces(context, tenant, meter, asked, periodsToAsk(aggregation, period, changes));
  const cost = { unitCost, aggregation, groupBy, windowed: query.windowSize !== null, changes };
  return { query, rows: costRows(cost, rows, pieces, priceBook) };
}

/** Those of the feature stand above those of the request: nobody looks past what the feature means. */
function withFilters(request: QueryRequest, { filters }: FeatureRow): QueryRequest {
  const { filterGroupBy, advancedFilters } = request;
  const isPlain = Object.keys(filterGroupBy ?? {}).length > 0;
  // Both forms at once are refused by whoever reads the query.
  if (filters === null || (isPlain && Object.keys(advancedFilters ?? {}).length > 0)) return request;
  const plain = Object.entries(filterGroupBy ?? {}).map(([dimension, $in]) => [dimension, { $in }] as const);
  const given = Object.fromEntries([
    ...plain.filter(([, { $in }]) => $in.length > 0),
    ...Object.entries(advancedFilters ?? {}),
  ]);
  return { ...request, filterGroupBy: null, advancedFilters: { ...given, ...filters } };
}

/** The time that the rows' events lie in, as short as it is known. */
function periodOf(query: MeterQuery, rows: readonly UsageRow[]): Period {
  const asked = rangeOf(query);
  const start = rows.reduce((earliest, { windowStart }) => Math.min(earliest, windowStart), Infinity);
  const end = rows.reduce((latest, { windowEnd }) => Math.max(latest, windowEnd), -Infinity);
  const from = Math.max(asked.from, start);
  return { from, to: Math.max(Math.min(asked.to, end), from) };
}

const until = ({ from, to }: Period, now: number): Period => ({ from, to: Math.max(Math.min(to, now), from + 1) });

async function askPieces(
  context: Context,
  tenant: Tenant,
  meter: MeterRow,
  asked: QueryRequest,
  periods: readonly Period[],
): Promise<Piece[]> {
  const pieces: Piece[] = [];
  await atOnce([...periods.entries()], PERIODS_AT_ONCE, async ([place, period]) => {
    const { rows } = await queryMeter(context, tenant, meter, { ...asked, ...period, clientId: null });
    pieces[place] = { period, rows };
  });
  return pieces;
}
