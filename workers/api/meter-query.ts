/** Meter queries on the wire: what a request says, as a URL or as a body, and its answer, as JSON or as a file of comma-separated values. */
import { parseInstant } from "../../core/instant";
import { resultCsv, resultJson } from "../../core/query-rows";
import type { WindowSize } from "../../core/window";
import type { QueryAnswer, QueryRequest } from "../meter-query";
import { JSON_HEADERS } from "./app";

/** As the contract has read it (schema/contract/meters.ts). */
interface QueryFields {
  clientId?: string | undefined;
  from?: string | undefined;
  to?: string | undefined;
  windowSize?: WindowSize | undefined;
  windowTimeZone?: string | undefined;
  subject?: readonly string[] | undefined;
  filterCustomerId?: readonly string[] | undefined;
  filterGroupBy?: { readonly [dimension: string]: string | readonly string[] } | undefined;
  advancedMeterGroupByFilters?: { readonly [dimension: string]: unknown } | undefined;
  groupBy?: readonly string[] | undefined;
}

export function queryRequest(fields: QueryFields): QueryRequest {
  const { filterGroupBy } = fields;
  return {
    from: parseInstant(fields.from ?? ""),
    to: parseInstant(fields.to ?? ""),
    windowSize: fields.windowSize ?? null,
    timeZone: fields.windowTimeZone ?? null,
    groupBy: fields.groupBy ?? [],
    subjects: fields.subject ?? null,
    customerIds: fields.filterCustomerId ?? null,
    filterGroupBy:
      filterGroupBy === undefined
        ? null
        : Object.fromEntries(
            Object.entries(filterGroupBy).map(([name, values]) => [
              name,
              typeof values === "string" ? [values] : values,
            ]),
          ),
    advancedFilters: fields.advancedMeterGroupByFilters ?? null,
    clientId: fields.clientId ?? null,
  };
}

export function queryReply(request: Request, slug: string, { query, rows, customers }: QueryAnswer): Response {
  if (!prefersCsv(request)) return new Response(JSON.stringify(resultJson(query, rows)), { headers: JSON_HEADERS });
  const known = new Map(customers.map(({ id, key, name }) => [id, { key, name: name ?? key }]));
  return new Response(
    resultCsv(query, rows, (id) => known.get(id) ?? { key: null, name: null }),
    {
      headers: {
        "content-type": "text/csv; charset=utf-8",
        "content-disposition": `attachment; filename="${slug}.csv"`,
      },
    },
  );
}

/** RFC 9110, as far as two types need it. Whoever does not say gets JSON. */
function prefersCsv(request: Request): boolean {
  const weights = new Map<string, number>();
  for (const range of (request.headers.get("accept") ?? "").split(",")) {
    const [type = "", ...parameters] = range.split(";").map((part) => part.trim().toLowerCase());
    const weight = parameters.find((parameter) => parameter.startsWith("q="))?.slice(2);
    weights.set(type, weight === undefined ? 1 : Number(weight));
  }
  const csv = weights.get("text/csv") ?? 0;
  return csv > (weights.get("application/json") ?? 0) && csv > 0;
}
