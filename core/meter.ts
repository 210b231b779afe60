/**
 * Meters: what to count in which events, as plain data and compiled for folding. Compiled meters are found by event type;
 * each distinct path of a type is looked up once per event and shared by the type's meters, and so is each distinct group.
 * Values are read as OpenMeter reads them (core/README.md, "Metering"). Not known here: windows, sums, storage.
 */
import { aggregations, type Aggregation, type Cell, type Fold, type Reading } from "./aggregation";
import type { Json, UsageEvent } from "./event";
import { parsePath, valueAt, type JsonPath } from "./json-path";
import { quantityOf } from "./quantity";
import { assert } from "./result";

export interface Meter {
  id: string;
  /** The slug. */
  key: string;
  eventType: string;
  aggregation: Aggregation;
  /** JSONPath into the event's data; null for COUNT. */
  valueProperty: string | null;
  /** Dimension → JSONPath into the event's data. */
  groupBy: Record<string, string>;
  /** Earlier events do not count, epoch ms. */
  eventFrom: number | null;
  /** Epoch ms. */
  createdAt: number;
}

/** Group values are compared on this many first characters: a prompt used as a dimension must not fill the object's memory. */
export const GROUP_VALUE_CHARS_MAX = 256;

export interface CompiledMeter {
  meter: Meter;
  /** Names the meter's folds and rollups: its id and its definition. Another definition never reads these folds as its own. */
  foldKey: string;
  fold: Fold<Cell>;
  /** The dimensions in the order of a group's values, after the subject, which is every group's first. */
  dimensions: readonly string[];
  /** Places in its type's readings and groups, and among all compiled meters. */
  reading: number;
  group: number;
  place: number;
}

/** The meters of one event type and what they need to know of an event. */
export interface MeterType {
  meters: readonly CompiledMeter[];
  paths: readonly JsonPath[];
  /** Per distinct value: its place in `paths` and what is read of it. */
  values: readonly { path: number; reads: Fold<Cell>["reads"] }[];
  /** Per distinct group, by the places of its values in `paths`. */
  groups: readonly GroupKeys[];
}

export interface CompiledMeters {
  types: ReadonlyMap<string, MeterType>;
  /** By fold key. */
  meters: ReadonlyMap<string, CompiledMeter>;
}

/** What one event says to the meters of its type. */
export interface EventFacts {
  readings: Reading[];
  /** Canonical JSON of [subject, …values]. */
  groups: string[];
}

/** Compiles a configuration's meters. Their paths were parsed when the meters were made; one that cannot be is a bug. */
export function compileMeters(meters: readonly Meter[]): CompiledMeters {
  const types = new Map<string, TypeBuilder>();
  const byKey = new Map<string, CompiledMeter>();
  for (const meter of meters) {
    let type = types.get(meter.eventType);
    if (!type) types.set(meter.eventType, (type = new TypeBuilder()));
    const compiled = type.add(meter, byKey.size);
    byKey.set(compiled.foldKey, compiled);
  }
  return { types, meters: byKey };
}

class TypeBuilder implements MeterType {
  readonly meters: CompiledMeter[] = [];
  readonly paths: JsonPath[] = [];
  readonly values: { path: number; reads: Fold<Cell>["reads"] }[] = [];
  readonly groups: GroupKeys[] = [];
  private readonly places = new Map<string, number>();

  add(meter: Meter, place: number): CompiledMeter {
    const fold: Fold<Cell> = aggregations[meter.aggregation];
    const dimensions = Object.keys(meter.groupBy).sort();
    const path = fold.reads === "nothing" ? -1 : this.path(meter.valueProperty ?? "");
    const group = dimensions.map((name) => this.path(meter.groupBy[name] ?? ""));
    const compiled: CompiledMeter = {
      meter,
      fold,
      dimensions,
      place,
      foldKey: foldKeyOf(meter),
      reading: this.place(`value ${fold.reads} ${path}`, this.values, { path, reads: fold.reads }),
      group: this.place(`group ${group.join()}`, this.groups, new GroupKeys(group)),
    };
    this.meters.push(compiled);
    return compiled;
  }

  private path(text: string): number {
    const known = this.places.get(`path ${text}`);
    if (known !== undefined) return known;
    const parsed = parsePath(text);
    assert(parsed.ok, `a stored meter has valid JSONPaths: ${text}`);
    return this.place(`path ${text}`, this.paths, parsed.value);
  }

  private place<T>(name: string, list: T[], entry: T): number {
    let place = this.places.get(name);
    if (place === undefined) this.places.set(name, (place = list.push(entry) - 1));
    return place;
  }
}

/** A meter's id, and a fingerprint of what its folds depend on: of these a meter can change its groups. */
export function foldKeyOf(meter: Meter): string {
  const groups = Object.keys(meter.groupBy)
    .sort()
    .map((name) => [name, meter.groupBy[name]]);
  const definition = JSON.stringify([meter.eventType, meter.aggregation, meter.valueProperty, meter.eventFrom, groups]);
  // FNV-1a. It tells versions of one meter apart; nobody gains by making two of their own alike.
  let hash = 0x811c9dc5;
  for (let i = 0; i < definition.length; i++) hash = Math.imul(hash ^ definition.charCodeAt(i), 0x01000193);
  return `${meter.id}.${(hash >>> 0).toString(36)}`;
}

/** Reads an event once for all meters of its type. `order` rises with arrival; it decides between events of one time. */
export function readEvent(type: MeterType, event: UsageEvent, order: number): EventFacts {
  const { paths, values, groups } = type;
  const found: (Json | undefined)[] = [];
  for (let i = 0; i < paths.length; i++) found.push(valueAt(paths[i]!, event.data ?? undefined));
  const readings: Reading[] = [];
  for (let i = 0; i < values.length; i++) {
    const { path, reads } = values[i]!;
    readings.push({
      quantity: reads === "quantity" ? quantityIn(found[path]) : null,
      text: reads === "text" ? textIn(found[path]) : null,
      at: event.time,
      order,
    });
  }
  const keys: string[] = [];
  for (let i = 0; i < groups.length; i++) keys.push(groups[i]!.keyOf(event.subject, found));
  return { readings, groups: keys };
}

/** Names of groups that are remembered: writing and hashing one anew costs as much as parsing a third of the event. */
const GROUP_KEYS_MAX = 4_096;

/** A value to each next step, and at last the group's name. */
type KeyNode = Map<unknown, KeyNode | string>;

/** Names the groups of one list of dimensions, each by the same string every time. */
export class GroupKeys {
  private known: KeyNode = new Map();
  private size = 0;

  /** Places of the values among those found. */
  private readonly paths: readonly number[];

  constructor(paths: readonly number[]) {
    this.paths = paths;
  }

  keyOf(subject: string, found: readonly (Json | undefined)[]): string {
    const { paths } = this;
    let node = this.known.get(subject);
    for (let i = 0; i < paths.length && node !== undefined; i++) node = (node as KeyNode).get(found[paths[i]!]);
    return (node as string | undefined) ?? this.learn(subject, found);
  }

  private learn(subject: string, found: readonly (Json | undefined)[]): string {
    const values = this.paths.map((path) => found[path]);
    let key = `[${quote(subject)}`;
    for (const value of values) key += `,${quote(groupValue(value))}`;
    key += "]";
    // Nobody sends the same object twice, and long texts are not worth keeping.
    if (key.length > 2 * GROUP_VALUE_CHARS_MAX || values.some((value) => typeof value === "object" && value !== null))
      return key;
    if (++this.size > GROUP_KEYS_MAX) {
      this.known = new Map();
      this.size = 1;
    }
    let node = this.known;
    const steps: unknown[] = [subject, ...values];
    for (const step of steps.slice(0, -1)) {
      let next = node.get(step) as KeyNode | undefined;
      if (next === undefined) node.set(step, (next = new Map()));
      node = next;
    }
    node.set(steps.at(-1), key);
    return key;
  }
}

function quantityIn(value: Json | undefined): bigint | null {
  const read = quantityOf(value);
  return read.ok ? read.value : null;
}

/** What UNIQUE_COUNT tells apart: scalars as text. null, objects and arrays are no values. */
const textIn = (value: Json | undefined): string | null => (value === null ? null : scalarText(value));

/** A group value is text: "" when it is missing or no scalar; null is "null", as OpenMeter's JSON_VALUE writes it. */
function groupValue(value: Json | undefined): string {
  const text = scalarText(value) ?? "";
  return text.length > GROUP_VALUE_CHARS_MAX ? text.slice(0, GROUP_VALUE_CHARS_MAX) : text;
}

function scalarText(value: unknown): string | null {
  if (typeof value === "string") return value;
  if (typeof value === "number" || typeof value === "boolean" || value === null) return String(value);
  return JSON.isRawJSON(value) ? value.rawJSON : null;
}

const NEEDS_ESCAPE = /[^ !#-[\]-\ud7ff\ue000-\uffff]/;

/** JSON.stringify of a string, without its cost for the strings that need no escape. */
const quote = (text: string): string => (NEEDS_ESCAPE.test(text) ? JSON.stringify(text) : `"${text}"`);
