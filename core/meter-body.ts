/**
 * What a meter may be made of: the rules of a definition that a person sent, field by field. Shapes, lengths and the letters of a slug
 * are the contract's business; whether a name is taken or a dimension is in use is the store's.
 */
import type { Aggregation } from "./aggregation";
import { parsePath } from "./json-path";
import type { Meter } from "./meter";

/** Every dimension is looked up in every event of the type and makes each group's name longer. */
export const METER_DIMENSIONS_MAX = 32;

/** A dimension's name is a query parameter and a CSV column. */
const DIMENSION_NAME = /^[A-Za-z_][A-Za-z0-9_]{0,63}$/;
/** Kept for events of the service itself, as OpenMeter keeps them. */
const RESERVED_EVENT_TYPE = /^(?:om|_|tollgate)\./;

export interface MeterFault {
  field: string;
  detail: string;
}

/** What a new meter's definition must change; nothing: it may be made. */
export function meterFaults({
  eventType,
  aggregation,
  valueProperty,
  groupBy,
}: Pick<Meter, "eventType" | "aggregation" | "valueProperty" | "groupBy">): MeterFault[] {
  const faults: MeterFault[] = [];
  if (RESERVED_EVENT_TYPE.test(eventType)) {
    faults.push({ field: "eventType", detail: "must not begin with om., _. or tollgate.: these are reserved" });
  }
  faults.push(...valueFaults(aggregation, valueProperty), ...groupByFaults(groupBy, valueProperty));
  return faults;
}

function valueFaults(aggregation: Aggregation, valueProperty: string | null): MeterFault[] {
  const field = "valueProperty";
  if (aggregation === "COUNT") {
    return valueProperty === null ? [] : [{ field, detail: "must not be given with COUNT, which reads no value" }];
  }
  if (valueProperty === null) return [{ field, detail: `is required with ${aggregation}` }];
  return pathFaults(field, valueProperty);
}

/** The same rules hold when a meter's dimensions change. */
export function groupByFaults(groupBy: Record<string, string>, valueProperty: string | null): MeterFault[] {
  const dimensions = Object.entries(groupBy);
  if (dimensions.length > METER_DIMENSIONS_MAX)
    return [{ field: "groupBy", detail: `must have at most ${METER_DIMENSIONS_MAX} entries` }];
  const seen = new Set<string>();
  return dimensions.flatMap(([name, path]): MeterFault[] => {
    const field = `groupBy.${name}`;
    if (!DIMENSION_NAME.test(name)) {
      const detail = "must be named with letters, digits and underscores, at most 64, and not begin with a digit";
      return [{ field: `groupBy[${JSON.stringify(name)}]`, detail }];
    }
    if (path === valueProperty) return [{ field, detail: "must not be the path of valueProperty" }];
    if (seen.has(path)) return [{ field, detail: "has the path of another dimension" }];
    seen.add(path);
    return pathFaults(field, path);
  });
}

function pathFaults(field: string, path: string): MeterFault[] {
  if (!path.startsWith("$")) return [{ field, detail: "must be a JSONPath that begins with $" }];
  const parsed = parsePath(path);
  return parsed.ok ? [] : [{ field, detail: parsed.refusal }];
}
