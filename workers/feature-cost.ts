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
import { OBJECTS_ASKED_MAX, queryMeter, type QueryRequest } from "./meter-query";

/** Each is a query. A month of a model that is priced by the hour, with four changes a day. */
export const PRICE_PERIODS_MAX = 128;
/** Objects that all these queries ask together: each is a call, and a Worker makes a thousand in one request. */
const OBJECT_CALLS_MAX = 1_000;
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
  // Only workers/meters.ts writes the column, and it takes it from a Meter.
  const aggregation = meter.aggregation as Aggregation;
  const pieces: Piece[] = [];
  if (aggregation === "LATEST" || changes.length === 0) {
    pieces.push({ period: aggregation === "LATEST" ? until(period, now) : period, rows });
  } else {
    const changesMax =
      Math.min(PRICE_PERIODS_MAX, Math.floor(OBJECT_CALLS_MAX / objectsPerQuery(asked, aggregation))) - 1;
    if (changes.length > changesMax) {
      const detail = `the prices of these models change ${changes.length} times in this time, and at most ${changesMax} changes can be followed; ask for less time, for fewer models, or for fewer subjects or customers`;
      throw new Problem(422, detail, { code: "at-bound" });
    }
    const periods = periodsToAsk(aggregation, period, changes);
    pieces.push(...(await askPieces(context, tenant, meter, asked, periods, { period, rows })));
  }
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

/** At most: the store answers for the namespace, but the objects for what is distinct and for given names. */
function objectsPerQuery({ subjects, customerIds }: QueryRequest, aggregation: Aggregation): number {
  const names = customerIds?.length || subjects?.length || 0;
  if (names > 0) return names;
  return aggregation === "UNIQUE_COUNT" ? OBJECTS_ASKED_MAX : 1;
}

async function askPieces(
  context: Context,
  tenant: Tenant,
  meter: MeterRow,
  asked: QueryRequest,
  periods: readonly Period[],
  whole: Piece,
): Promise<Piece[]> {
  const pieces: Piece[] = [];
  await atOnce([...periods.entries()], PERIODS_AT_ONCE, async ([place, period]) => {
    const isWhole = period.from === whole.period.from && period.to === whole.period.to;
    const { rows } = isWhole
      ? whole
      : await queryMeter(context, tenant, meter, { ...asked, ...period, clientId: null });
    pieces[place] = { period, rows };
  });
  return pieces;
}
