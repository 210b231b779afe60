/**
 * Queries of meters. Usage of given subjects or customers is asked of their objects, which know the event acknowledged a moment ago; usage
 * of the whole namespace is added up from the rollups, and the objects are asked for what those do not hold: the ends of a range that
 * lie within a minute, minutes that are kept no more, and distinct values. The rules of a query are core's; here is who is asked.
 */
import { INSTANT_MS_MAX } from "../core/instant";
import { compileMeters, type CompiledMeter, type Meter } from "../core/meter";
import { rangeOf, readQuery, type AskedQuery, type MeterQuery, type QueryFault } from "../core/meter-query";
import {
  PartBuilder,
  placesOf,
  QUERY_ROWS_MAX,
  TOO_MANY_ROWS,
  zoneOf,
  type QueryPart,
  type QueryRefusal,
} from "../core/query-part";
import { answerQuery, type MeterRow as AnswerRow } from "../core/query-rows";
import type { Result } from "../core/result";
import { ceilToQuarter, coverOf, floorToQuarter, sharesOf, type Piece } from "../core/rollup-cover";
import { windowsOf } from "../core/window";
import type { Answer, Call, CustomerRpc } from "../durable-objects/rpc";
import { findCustomer, type CustomerRow } from "../store/customers";
import { homesOfSubjects } from "../store/customer-subjects";
import type { MeterRow } from "../store/meters";
import {
  daysWithRollups,
  objectsWithRollups,
  readRollups,
  type RollupGroup,
  type RollupRange,
} from "../store/rollup-query";
import { MINUTE_RETENTION_MS } from "../store/rollups";
import { notFound, Problem, refusalProblem } from "./api/problem";
import type { Context } from "./context";
import { askCustomer, askObject, type Answered, type RegisteredObject, type Tenant } from "./customers";
import { definitionOf } from "./meters";
import { QuerySteps } from "./query-steps";
import { requireFolded, requireUnmoved } from "./refold";

/** Objects that one query asks. Each is a call, and a Worker makes a thousand in one request. */
export const OBJECTS_ASKED_MAX = 500;
/** Windows that one query looks into: as many as it may have rows. */
const WINDOWS_MAX = QUERY_ROWS_MAX;
/** Fewer windows are looked into without asking first on which days there is anything. */
const WINDOWS_UNASKED_MAX = 1_000;
/** The purge runs hourly, and takes what has just passed its age. */
const PURGE_SLACK_MS = 2 * 60 * 60_000;

/** What a request says of a query, beside the meter. */
export interface QueryRequest extends Omit<AskedQuery, "customers"> {
  /** null: not filtered by customers. */
  customerIds: readonly string[] | null;
  /** Under which its progress can be followed. */
  clientId: string | null;
}

export interface QueryAnswer {
  query: MeterQuery;
  rows: AnswerRow[];
  /** Those it is filtered by. */
  customers: readonly CustomerRow[];
}

/** What a request without any condition says. */
export const EVERYTHING: QueryRequest = {
  from: null,
  to: null,
  windowSize: null,
  timeZone: null,
  groupBy: [],
  subjects: null,
  customerIds: null,
  filterGroupBy: null,
  advancedFilters: null,
  clientId: null,
};

/** Answers a query, or throws the problem with it. */
export async function queryMeter(
  context: Context,
  tenant: Tenant,
  row: MeterRow,
  { customerIds, clientId, ...asked }: QueryRequest,
): Promise<QueryAnswer> {
  const ids = customerIds === null ? [] : [...new Set(customerIds)];
  const read = readQuery(row, { ...asked, customers: ids.length });
  if (!read.ok) throw faulty(read.refusal);
  const query = read.value;
  const customers = await Promise.all(ids.map((id) => customerOf(context, tenant, id)));
  const asking = new Asking(context, tenant, row, clientId);
  let parts: QueryPart[];
  if (ids.length > 0) parts = await asking.customers(ids, query);
  else if (query.subjects !== null) parts = await asking.subjects(query.subjects, query);
  else parts = await asking.namespace(query);
  return { query, rows: accept(answerQuery(asking.meter.meter.aggregation, query, parts)), customers };
}

/** What the parts of a namesQuery (core/meter-query.ts) over the whole namespace know. */
export async function namesOfMeter(
  context: Context,
  tenant: Tenant,
  row: MeterRow,
  query: MeterQuery,
): Promise<QueryPart[]> {
  return new Asking(context, tenant, row, null).namespace(query);
}

/** Nearly all are sentences of OpenMeter's; only what begins like a rule of a field needs the field before it. */
function faulty(faults: QueryFault[]): Problem {
  const { field, message } = faults[0]!;
  const detail = message.startsWith("must ") ? `${field} ${message}` : message;
  return new Problem(400, detail, { evidence: { validationErrors: faults } });
}

/** A deleted one's usage stays under its id. */
async function customerOf({ store }: Context, { namespaceId }: Tenant, id: string): Promise<CustomerRow> {
  const customer = await findCustomer(store, namespaceId, id, { deleted: true });
  if (customer?.id !== id) throw notFound(`the customer ${id}`);
  return customer;
}

function accept<T>(result: Result<T, QueryRefusal>): T {
  if (result.ok) return result.value;
  throw refusalProblem({ ok: false, ...result.refusal });
}

type Ask = (object: CustomerRpc, call: Call) => Promise<Answer<{ part: QueryPart }>>;

interface ObjectAsk {
  object: RegisteredObject;
  range: { from: number; to: number };
}

/** One query on its way: of which meter, on whose behalf, and how far it is. */
class Asking {
  readonly meter: CompiledMeter;
  private readonly tenant: Tenant;
  private readonly steps: QuerySteps;

  constructor(
    private readonly context: Context,
    tenant: Tenant,
    private readonly row: MeterRow,
    clientId: string | null,
  ) {
    this.meter = [...compileMeters([definitionOf(row)]).meters.values()][0]!;
    // The meter may be newer than the configuration that this isolate remembers.
    this.tenant = { ...tenant, configVersion: Math.max(tenant.configVersion, row.configVersion) };
    this.steps = new QuerySteps(context, tenant.namespaceId, clientId);
  }

  /** Each has one object, which its id leads to; their groups never meet, because several group by customer. */
  async customers(ids: readonly string[], query: MeterQuery): Promise<QueryPart[]> {
    const parts: QueryPart[] = [];
    await this.steps.through(ids, async (id) => {
      const answer = await askCustomer(this.context, this.tenant, id, this.part(query, true));
      parts.push({ ...partOf(answer), customerId: id });
    });
    return parts;
  }

  /** Their groups never meet either, because subjects group by subject. */
  async subjects(subjects: readonly string[], query: MeterQuery): Promise<QueryPart[]> {
    const homes = await homesOfSubjects(this.context.store, this.tenant.namespaceId, subjects);
    const parts: QueryPart[] = [];
    await this.steps.through(subjects, async (subject) => {
      parts.push(...(await this.subject(subject, homes.get(subject) ?? [], { ...query, subjects: [subject] })));
    });
    return parts;
  }

  /** What the object that the subject leads to knows, and those of the customers that had the subject before. */
  private async subject(subject: string, homes: readonly RegisteredObject[], query: MeterQuery): Promise<QueryPart[]> {
    const ask = async (alone: boolean) => {
      let asked = "";
      const answer = await askCustomer(this.context, this.tenant, subject, (object, call, target) => {
        asked = target;
        return this.part(query, alone)(object, call);
      });
      return { part: partOf(answer), others: homes.filter(({ object }) => object !== asked) };
    };
    const first = await ask(homes.length <= 1);
    if (first.others.length === 0) return [first.part];
    const own = homes.length <= 1 ? await ask(false) : first;
    const past = await Promise.all(own.others.map((home) => this.object(home, query, false)));
    return [own.part, ...past.flat()];
  }

  /** From the rollups, as far as they know. */
  async namespace(query: MeterQuery): Promise<QueryPart[]> {
    await requireFolded(this.context, this.tenant, this.row);
    const pieces = this.piecesOf(query);
    const asks = await this.asksOf(pieces.filter(({ source }) => source === "objects"));
    const alone = asks.length === 1 && pieces.length === 1;
    const parts: QueryPart[] = [];
    await this.steps.through([null, ...asks], async (ask) => {
      if (ask === null) parts.push(await this.rollups(query, pieces));
      else parts.push(...(await this.object(ask.object, { ...query, ...ask.range }, alone)));
    });
    await requireUnmoved(this.context, this.tenant);
    return parts;
  }

  /** Sets cannot be added up from their sizes: of distinct values the objects are asked for all of it. */
  private piecesOf(query: MeterQuery): Piece[] {
    const range = rangeOf(query);
    const from = Math.max(range.from, 0);
    const to = Math.min(range.to, INSTANT_MS_MAX + 1);
    if (this.meter.fold.reads === "text" && !query.namesOnly) return from < to ? [{ source: "objects", from, to }] : [];
    const minutesSince = ceilToQuarter(this.context.now() - MINUTE_RETENTION_MS + PURGE_SLACK_MS);
    return coverOf({ from, to }, query.windowSize, minutesSince);
  }

  /** Which objects have usage in these pieces, and what each is asked for. */
  private async asksOf(pieces: readonly Piece[]): Promise<ObjectAsk[]> {
    const asks: ObjectAsk[] = [];
    for (const { from, to } of pieces) {
      const objects = await objectsWithRollups(this.context.store, this.tenant.namespaceId, {
        meterKey: this.meter.foldKey,
        resolution: "quarter",
        from: floorToQuarter(from),
        to: ceilToQuarter(to),
        limit: OBJECTS_ASKED_MAX - asks.length + 1,
      });
      for (const object of objects) asks.push({ object, range: { from, to } });
      if (asks.length > OBJECTS_ASKED_MAX) throw tooManyObjects(this.meter.meter);
    }
    return asks;
  }

  private async object(object: RegisteredObject, query: MeterQuery, alone: boolean): Promise<QueryPart[]> {
    const answer = await askObject(this.context, this.tenant, object, this.part(query, alone));
    return answer === null ? [] : [partOf(answer)];
  }

  private part(query: MeterQuery, alone: boolean): Ask {
    const { foldKey } = this.meter;
    return (object, call) => object.queryMeter(call, { foldKey, query, alone });
  }

  private async rollups(query: MeterQuery, pieces: readonly Piece[]): Promise<QueryPart> {
    const ranges: RollupRange[] = [];
    for (const piece of pieces) {
      if (piece.source === "objects") continue;
      for (const share of await this.sharesIn(piece, query)) ranges.push({ ...share, resolution: piece.source });
      if (ranges.length > WINDOWS_MAX) throw refusalProblem({ ok: false, ...TOO_MANY_ROWS });
    }
    const dimensions = placesOf(this.meter, query);
    const groups = await this.read(ranges, dimensions);
    if (query.windowSize === null && (query.from === null || query.to === null))
      await this.refine(groups, dimensions, query);
    const part = new PartBuilder(this.meter, query);
    for (const group of groups) {
      // What the query does not look at may be anything.
      const values: (string | null)[] = Array.from({ length: this.meter.dimensions.length + 1 }, () => null);
      for (const [n, place] of dimensions.entries()) values[place] = group.group[n]!;
      const cell = this.meter.fold.fromRollup(group);
      if (cell !== null) part.add(JSON.stringify(values), cell, group.first, group.last);
    }
    return accept(part.part());
  }

  private async read(ranges: readonly RollupRange[], dimensions: readonly number[]): Promise<RollupGroup[]> {
    const groups = await readRollups(this.context.store, this.tenant.namespaceId, {
      meterKey: this.meter.foldKey,
      aggregation: this.meter.meter.aggregation,
      ranges,
      dimensions,
      rowsMax: QUERY_ROWS_MAX,
    });
    if (groups === null) throw refusalProblem({ ok: false, ...TOO_MANY_ROWS });
    return groups;
  }

  /** The piece, cut at its windows' borders. Over a long time only the days are looked into that have anything. */
  private async sharesIn(piece: Piece, query: MeterQuery): Promise<Omit<RollupRange, "resolution">[]> {
    const { windowSize } = query;
    if (windowSize === null) return [{ window: 0, from: piece.from, to: piece.to }];
    const windowOf = windowsOf(windowSize, zoneOf(query));
    const some = windowOf(piece.from);
    const isLong = piece.to - piece.from > WINDOWS_UNASKED_MAX * (some.end - some.start);
    const days = isLong ? await this.daysIn(piece) : null;
    const shares: Omit<RollupRange, "resolution">[] = [];
    for (const share of sharesOf(piece, windowOf, days)) {
      if (shares.length > WINDOWS_MAX) break;
      shares.push(share);
    }
    return shares;
  }

  private daysIn({ from, to }: Piece): Promise<number[]> {
    const { meterKey, limit } = { meterKey: this.meter.foldKey, limit: WINDOWS_MAX + 1 };
    return daysWithRollups(this.context.store, this.tenant.namespaceId, {
      meterKey,
      from: floorToQuarter(from),
      to,
      limit,
    });
  }

  /** Where an open range begins and ends is told to the minute, as long as the minutes are kept. */
  private async refine(groups: RollupGroup[], dimensions: readonly number[], { from, to }: MeterQuery): Promise<void> {
    const ends = groups.flatMap(({ first, last }) => [
      ...(from === null ? [first] : []),
      ...(to === null ? [last] : []),
    ]);
    const quarters = [...new Set(ends.map(floorToQuarter))].sort((a, b) => a - b);
    const minutes = await this.read(
      quarters.map((quarter) => ({
        window: quarter,
        resolution: "minute",
        from: quarter,
        to: ceilToQuarter(quarter + 1),
      })),
      dimensions,
    );
    const keyOf = (quarter: number, group: RollupGroup) => JSON.stringify([quarter, group.group]);
    const known = new Map(minutes.map((each) => [keyOf(each.window, each), each]));
    for (const group of groups) {
      if (from === null) group.first = known.get(keyOf(floorToQuarter(group.first), group))?.first ?? group.first;
      if (to === null)
        group.last = known.get(keyOf(floorToQuarter(group.last), group))?.last ?? group.last + QUARTER_LAST_MS;
    }
  }
}

/** From a quarter's start to its last minute. */
const QUARTER_LAST_MS = 14 * 60_000;

const tooManyObjects = ({ aggregation }: Meter): Problem =>
  new Problem(
    422,
    aggregation === "UNIQUE_COUNT"
      ? `the distinct values of more than ${OBJECTS_ASKED_MAX} customers would have to be compared; ask for less time, or for subjects or customers`
      : `more than ${OBJECTS_ASKED_MAX} customers have usage in the minutes at the ends of this time; let from and to fall on whole minutes of the last 35 days, or on quarters of an hour`,
    { code: "at-bound" },
  );

function partOf(answer: Answered<{ part: QueryPart }>): QueryPart {
  if (!answer.ok) throw refusalProblem(answer);
  return answer.part;
}
