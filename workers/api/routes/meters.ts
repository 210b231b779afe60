/** Meters: made, changed and queried. Definitions are published with the namespace's configuration; usage is asked of meter-query.ts. */
import { formatInstant, parseInstant } from "../../../core/instant";
import type { Aggregation } from "../../../core/aggregation";
import { groupByFaults, meterFaults, type MeterFault } from "../../../core/meter-body";
import { namesQuery, SUBJECT } from "../../../core/meter-query";
import { groupNames } from "../../../core/query-part";
import { meters } from "../../../schema/contract/meters";
import { findMeter, listMeters, type MeterRow } from "../../../store/meters";
import type { Context } from "../../context";
import { sandboxTime } from "../../customers";
import { namesOfMeter, queryMeter } from "../../meter-query";
import { changeMeter, makeMeter, removeMeter, type MadeMeter } from "../../meters";
import { implement } from "../app";
import { once } from "../idempotency";
import { queryReply, queryRequest } from "../meter-query";
import { invalid, notFound } from "../problem";

/** What OpenMeter answers to who asks for no page. */
const UNPAGED_METERS_MAX = 1_000;
const PAGE_METERS = 100;

const MINUTE_MS = 60_000;
const DAY_MS = 24 * 60 * MINUTE_MS;
/** OpenMeter's bounds of a list of a dimension's values. Ours begins on a whole minute, which the rollups know. */
const VALUES_DEFAULT_MS = DAY_MS;
const VALUES_AGE_MS_MAX = 90 * DAY_MS;
const VALUES_RANGE_MS_MAX = 30 * DAY_MS;

const view = (meter: MadeMeter & { deletedAt: number | null }) => ({
  id: meter.id,
  slug: meter.key,
  name: meter.name ?? meter.key,
  ...(meter.description !== null && { description: meter.description }),
  ...(meter.metadata !== null && { metadata: meter.metadata }),
  aggregation: meter.aggregation as Aggregation,
  eventType: meter.eventType,
  ...(meter.eventFrom !== null && { eventFrom: formatInstant(meter.eventFrom) }),
  ...(meter.valueProperty !== null && { valueProperty: meter.valueProperty }),
  ...(Object.keys(meter.groupBy).length > 0 && { groupBy: meter.groupBy }),
  createdAt: formatInstant(meter.createdAt),
  updatedAt: formatInstant(meter.updatedAt),
  ...(meter.deletedAt !== null && { deletedAt: formatInstant(meter.deletedAt) }),
});

export const meterRoutes = implement<typeof meters>(meters, {
  async list({ context, principal, query }) {
    const { page, pageSize, order, orderBy, includeDeleted } = query;
    const isPaged = page !== undefined || pageSize !== undefined;
    const limit = pageSize ?? (isPaged ? PAGE_METERS : UNPAGED_METERS_MAX);
    const rows = await listMeters(context.store, principal.namespaceId, {
      orderBy,
      order,
      includeDeleted: includeDeleted === "true",
      offset: ((page ?? 1) - 1) * limit,
      limit,
    });
    return { status: 200, body: rows.map(view) };
  },

  create: (ask) =>
    once(ask, meters.create, async (remember) => {
      const { context, principal, body } = ask;
      const now = context.now();
      const meter: MadeMeter = {
        id: context.newId(),
        key: body.slug,
        eventType: body.eventType,
        aggregation: body.aggregation,
        valueProperty: body.valueProperty ?? null,
        groupBy: body.groupBy ?? {},
        eventFrom: parseInstant(body.eventFrom ?? ""),
        name: body.name ?? body.slug,
        description: body.description ?? null,
        metadata: body.metadata ?? null,
        createdAt: now,
        updatedAt: now,
      };
      refuse(meterFaults({ ...meter, aggregation: body.aggregation }));
      const reply = { status: 200 as const, body: view({ ...meter, deletedAt: null }) };
      return makeMeter(context, principal, meter, reply, remember);
    }),

  async get({ context, principal, params }) {
    const meter = await findMeter(context.store, principal.namespaceId, params.meterIdOrSlug, { deleted: true });
    if (meter === null) throw notFound("this meter");
    return { status: 200, body: view(meter) };
  },

  async update({ context, principal, params, body }) {
    const meter = await liveMeter(context, principal.namespaceId, params.meterIdOrSlug);
    const { name = meter.key, description = null, metadata = null, groupBy = {} } = body;
    refuse(groupByFaults(groupBy, meter.valueProperty));
    const changed = await changeMeter(context, principal, meter, { name, description, metadata, groupBy });
    return { status: 200, body: view(changed) };
  },

  async delete({ context, principal, params }) {
    const meter = await findMeter(context.store, principal.namespaceId, params.meterIdOrSlug, { deleted: true });
    if (meter === null) throw notFound("this meter");
    if (meter.deletedAt === null) await removeMeter(context, principal.namespaceId, meter);
    return { status: 204 };
  },

  query: async ({ context, principal, params, query, request }) => {
    const meter = await liveMeter(context, principal.namespaceId, params.meterIdOrSlug);
    return queryReply(request, meter.key, await queryMeter(context, principal, meter, queryRequest(query)));
  },

  queryPost: async ({ context, principal, params, body, request }) => {
    const meter = await liveMeter(context, principal.namespaceId, params.meterIdOrSlug);
    return queryReply(request, meter.key, await queryMeter(context, principal, meter, queryRequest(body)));
  },

  async subjects({ context, principal, params, query }) {
    const meter = await liveMeter(context, principal.namespaceId, params.meterIdOrSlug);
    const period = periodOf(query);
    const parts = await namesOfMeter(context, principal, meter, namesQuery(SUBJECT, period));
    return { status: 200, body: groupNames(parts) };
  },

  async groupByValues({ context, principal, params, query }) {
    const meter = await liveMeter(context, principal.namespaceId, params.meterIdOrSlug);
    const { groupByKey } = params;
    if (!Object.hasOwn(meter.groupBy, groupByKey))
      throw invalid([{ field: "groupByKey", message: `invalid group by: ${groupByKey}` }]);
    const { from, to } = periodOf(query);
    const now = principal.kind === "sandbox" ? await sandboxTime(context, principal.namespaceId) : context.now();
    const period = { from: from ?? floorToMinute((to ?? now) - VALUES_DEFAULT_MS), to };
    const oldest = now - VALUES_AGE_MS_MAX;
    if (period.from < oldest)
      throw invalid([{ field: "from", message: `must be at most 90 days back, ${formatInstant(oldest)} or later` }]);
    if ((to ?? now) - period.from > VALUES_RANGE_MS_MAX)
      throw invalid([{ field: "to", message: "must be at most 30 days after from" }]);
    const parts = await namesOfMeter(context, principal, meter, namesQuery(groupByKey, period));
    return { status: 200, body: groupNames(parts) };
  },
});

function periodOf({ from: begin, to: end }: { from?: string | undefined; to?: string | undefined }) {
  const [from, to] = [parseInstant(begin ?? ""), parseInstant(end ?? "")];
  if (from !== null && to !== null && from >= to) throw invalid([{ field: "to", message: "must be after from" }]);
  return { from, to };
}

const floorToMinute = (ms: number): number => Math.floor(ms / MINUTE_MS) * MINUTE_MS;

export async function liveMeter(context: Context, namespaceId: string, idOrSlug: string): Promise<MeterRow> {
  const meter = await findMeter(context.store, namespaceId, idOrSlug);
  if (meter === null) throw notFound("this meter");
  return meter;
}

function refuse(faults: readonly MeterFault[]): void {
  if (faults.length > 0) throw invalid(faults.map(({ field, detail }) => ({ field, message: detail })));
}
