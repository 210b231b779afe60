/** Features: made, archived, listed. What their usage costs is feature-costs.ts's business. */
import { formatDecimal } from "../../../core/decimal";
import { featureFaults, type LlmUnitCost, type UnitCost } from "../../../core/feature";
import { modelPrices } from "../../../core/feature-cost";
import { isEmptyFilter, readFilter, type FilterString } from "../../../core/filter";
import { formatInstant } from "../../../core/instant";
import type { Aggregation } from "../../../core/aggregation";
import { formatQuantity } from "../../../core/quantity";
import { priceBook } from "../../../providers/price-book";
import { features } from "../../../schema/contract/features";
import {
  archiveFeature,
  createFeature,
  findFeature,
  listFeatures,
  type FeatureRow,
  type NewFeature,
} from "../../../store/features";
import { isRepeat } from "../../../store/idempotency";
import { findMeter } from "../../../store/meters";
import type { Context } from "../../context";
import { implement, type Ask } from "../app";
import { readAmount } from "../decimal-field";
import { once } from "../idempotency";
import { invalid, notFound, Problem, tryAgain } from "../problem";

/** A meter that changes while a feature is made over it is read again; people do not change it for long. */
const CREATE_ATTEMPTS_MAX = 3;
/** What OpenMeter answers to who asks for a page of no size. */
const PAGE_FEATURES = 100;

export const featureRoutes = implement<typeof features>(features, {
  async list({ context, principal, query }) {
    const { page = 1, pageSize, meterSlug = [], includeArchived, offset, limit, order, orderBy } = query;
    const isPaged = query.page !== undefined || pageSize !== undefined;
    const size = isPaged ? (pageSize ?? PAGE_FEATURES) : limit;
    const { items, totalCount } = await listFeatures(context.store, principal.namespaceId, {
      meterKeys: meterSlug,
      includeArchived: includeArchived === "true",
      orderBy,
      order,
      offset: isPaged ? (page - 1) * size : offset,
      limit: size,
    });
    const views = items.map(view);
    return { status: 200, body: isPaged ? { items: views, totalCount, page, pageSize: size } : views };
  },

  create: (ask) =>
    once(ask, features.create, async (remember) => {
      const { context, principal, body } = ask;
      const { store } = context;
      for (let attempt = 1; attempt <= CREATE_ATTEMPTS_MAX; attempt++) {
        const meter =
          body.meterSlug === undefined ? null : await findMeter(store, principal.namespaceId, body.meterSlug);
        if (meter === null && body.meterSlug !== undefined) throw notFound(`the meter ${body.meterSlug}`);
        const filters = filtersOf(body);
        const unitCost = unitCostOf(body.unitCost);
        // Only workers/meters.ts writes the column, and it takes it from a Meter.
        const metered = meter && { ...meter, aggregation: meter.aggregation as Aggregation };
        const faults = featureFaults({ key: body.key, filters: filters ?? {}, unitCost }, metered);
        if (faults.length > 0) throw invalid(faults.map(({ field, detail }) => ({ field, message: detail })));
        const now = context.now();
        const feature: NewFeature = {
          id: context.newId(),
          key: body.key,
          name: body.name,
          meterId: meter?.id ?? null,
          meterKey: meter?.key ?? null,
          filters,
          unitCost,
          metadata: body.metadata ?? null,
          createdAt: now,
          updatedAt: now,
        };
        const reply = { status: 201 as const, body: view({ ...feature, archivedAt: null }) };
        const { namespaceId } = principal;
        const made = await createFeature(store, namespaceId, feature, meter?.updatedAt ?? null, remember(reply));
        if (made.ok) return reply;
        switch (made.refusal.reason) {
          case "key_taken":
            throw new Problem(
              409,
              `a feature with the key ${body.key} exists already; archive it to use the key again`,
            );
          case "meter_changed":
            break;
          case "violation":
            if (isRepeat(made.refusal)) return null;
            throw new Error(`a new feature collided on ${made.refusal.table}`);
        }
      }
      throw tryAgain("the meter is being changed; try again");
    }),

  async get({ context, principal, params }) {
    const feature = await liveFeature(context, principal.namespaceId, params.featureId);
    return { status: 200, body: withPricing(view(feature), feature, context.now()) };
  },

  async delete({ context, principal, params }) {
    const { id } = await liveFeature(context, principal.namespaceId, params.featureId);
    // Somebody was faster: it is archived.
    await archiveFeature(context.store, principal.namespaceId, id, context.now());
    return { status: 204 };
  },
});

export async function liveFeature(context: Context, namespaceId: string, idOrKey: string): Promise<FeatureRow> {
  const feature = await findFeature(context.store, namespaceId, idOrKey);
  if (feature === null) throw notFound("this feature");
  return feature;
}

type Body = Ask<typeof features.create>["body"];

/** The advanced form, else the deprecated one, which says the same of `$eq` alone. A filter that matches everything is none. */
function filtersOf({ advancedMeterGroupByFilters = {}, meterGroupByFilters = {} }: Body): FeatureRow["filters"] {
  const isAdvanced = Object.keys(advancedMeterGroupByFilters).length > 0;
  const field = isAdvanced ? "advancedMeterGroupByFilters" : "meterGroupByFilters";
  const given = isAdvanced
    ? Object.entries(advancedMeterGroupByFilters)
    : Object.entries(meterGroupByFilters).map(([dimension, value]) => [dimension, { $eq: value }] as const);
  const filters = given.flatMap(([dimension, unread]): [string, FilterString][] => {
    const read = readFilter(unread);
    if (!read.ok) {
      const at = read.refusal.at === "" ? "" : `.${read.refusal.at}`;
      throw invalid([{ field: `${field}.${dimension}${at}`, message: read.refusal.detail }]);
    }
    return isEmptyFilter(read.value) ? [] : [[dimension, read.value]];
  });
  return filters.length === 0 ? null : Object.fromEntries(filters);
}

function unitCostOf(given: Body["unitCost"]): UnitCost | null {
  if (given === undefined) return null;
  if (given.type === "manual")
    return { type: "manual", amount: formatDecimal(readAmount("unitCost.amount", given.amount, 0n)) };
  return Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined)) as unknown as LlmUnitCost;
}

const view = (feature: FeatureRow) => ({
  id: feature.id,
  key: feature.key,
  name: feature.name,
  ...(feature.metadata !== null && { metadata: feature.metadata }),
  ...(feature.meterKey !== null && { meterSlug: feature.meterKey }),
  ...(feature.filters !== null && {
    ...(isPlain(feature.filters) && { meterGroupByFilters: mapValues(feature.filters, ({ $eq }) => $eq ?? "") }),
    advancedMeterGroupByFilters: mapValues(feature.filters, (filter) => ({ ...filter })),
  }),
  ...(feature.unitCost !== null && { unitCost: feature.unitCost }),
  createdAt: formatInstant(feature.createdAt),
  updatedAt: formatInstant(feature.updatedAt),
  ...(feature.archivedAt !== null && { archivedAt: formatInstant(feature.archivedAt) }),
});

const isPlain = (filters: Record<string, FilterString>): boolean =>
  Object.values(filters).every(({ $eq }) => $eq !== undefined);

const mapValues = <V, W>(map: Record<string, V>, change: (value: V) => W): Record<string, W> =>
  Object.fromEntries(Object.entries(map).map(([key, value]) => [key, change(value)]));

/** Today's prices, where provider and model are certain: given, or the only value that a filter lets through. */
function withPricing(shown: ReturnType<typeof view>, { unitCost, filters }: FeatureRow, now: number) {
  if (unitCost?.type !== "llm") return shown;
  const only = (property: string | undefined) => filters?.[property ?? ""]?.$eq;
  const provider = unitCost.provider ?? only(unitCost.providerProperty);
  const model = unitCost.model ?? only(unitCost.modelProperty);
  if (provider === undefined || model === undefined) return shown;
  const prices = modelPrices({ provider, model }, now, priceBook);
  if (prices?.input === undefined || prices.output === undefined) return shown;
  const pricing = {
    inputPerToken: formatQuantity(prices.input),
    outputPerToken: formatQuantity(prices.output),
    ...(prices.cache_read !== undefined && { cacheReadPerToken: formatQuantity(prices.cache_read) }),
    ...(prices.cache_write !== undefined && { cacheWritePerToken: formatQuantity(prices.cache_write) }),
    ...(prices.reasoning !== undefined && { reasoningPerToken: formatQuantity(prices.reasoning) }),
  };
  return { ...shown, unitCost: { ...unitCost, pricing } };
}
