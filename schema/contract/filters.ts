/**
 * Filters of lists and of meter queries, as OpenMeter has them. Shapes only: how many, how deep and one operator at a time is
 * core/filter.ts's business, which reads them again.
 */
import * as z from "zod";
import { instant } from "./fields";

/** As it came; core/filter.ts makes a filter of it. */
type Unread = { [operator: string]: unknown };

const operand = z.string().nullish();
const operands = z.array(z.string()).nullish();
const filters = z.lazy(() => z.array(filterString).nullish());

const stringOperators = {
  $eq: operand,
  $ne: operand,
  $in: operands,
  $nin: operands,
  $like: operand.meta({ description: "`%` is any text, `_` one character, `\\` takes the next one literally." }),
  $nlike: operand,
  $ilike: operand.meta({ description: "`$like` without regard to case." }),
  $nilike: operand,
  $gt: operand,
  $gte: operand,
  $lt: operand,
  $lte: operand,
  $and: filters,
  $or: filters,
};

/** OpenMeter's FilterString. */
export const filterString: z.ZodType<Unread> = z
  .looseObject(stringOperators)
  .meta({ id: "FilterString", description: "A filter for a text; one operator at most." });

/** A list as a URL writes it: its name once is one value, not a list yet. */
const listInUrl = z.union([z.array(z.string()), z.string().transform((text) => [text])]).nullish();

/** The same in a query parameter, written as JSON or as `name[$in]=value`. */
export const filterStringInQuery: z.ZodType<Unread> = z
  .looseObject({ ...stringOperators, $in: listInUrl, $nin: listInUrl })
  .meta({ description: "A filter for a text; one operator at most." });

const moment = instant.nullish();
const timeFilters = z.lazy(() => z.array(filterTime).nullish());

/** OpenMeter's FilterTime. */
export const filterTime: z.ZodType<Unread> = z
  .looseObject({ $gt: moment, $gte: moment, $lt: moment, $lte: moment, $and: timeFilters, $or: timeFilters })
  .meta({ id: "FilterTime", description: "A filter for a time; one operator at most." });

/** OpenMeter's FilterIDExact. */
export const filterIdExact = z
  .looseObject({ $in: operands })
  .meta({ id: "FilterIDExact", description: "A filter for an id: one of these." });
