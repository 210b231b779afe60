/**
 * Reduces OpenMeter's OpenAPI 3.0 document to what test/openmeter checks answers against: each operation's answers, and the
 * schemas they reach as plain JSON Schema. test/openmeter/README.md says where the document comes from and how to run this.
 * OpenMeter's schemas leave unknown properties open, as OpenAPI does; here an object has what it names and nothing else,
 * unless the document says `additionalProperties`. It knows nothing of the suites.
 */
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";

type Json = null | boolean | number | string | Json[] | { [key: string]: Json };
type Schema = Record<string, Json>;

interface Media {
  schema?: Schema;
}
interface Answer {
  content?: Record<string, Media>;
}
interface Operation {
  operationId: string;
  responses: Record<string, Answer>;
}
interface Document {
  info: { title: string; version: string };
  paths: Record<string, Record<string, Operation>>;
  components: { schemas: Record<string, Schema> };
}

const OUT = join(import.meta.dirname, "..", "test", "openmeter", "openapi.json");
const METHODS = ["get", "post", "put", "patch", "delete"];
const REF = "#/components/schemas/";
/** What says something about a value that JSON Schema says in the same words. */
const KEPT = new Set(
  (
    "type enum required minLength maxLength pattern minItems maxItems uniqueItems " +
    "minimum maximum exclusiveMinimum exclusiveMaximum"
  ).split(" "),
);
/** The formats that a validator of JSON Schema knows. Of the others (`uint32`, `double`, …) the type says what matters. */
const FORMATS = new Set(["date-time", "date", "email", "uri", "uri-reference"]);

const source = JSON.parse(await readFile("/dev/stdin", "utf8")) as Document;
const schemas: Record<string, Schema> = {};

const paths = Object.fromEntries(
  Object.entries(source.paths).map(([path, item]) => [
    path,
    Object.fromEntries(METHODS.filter((method) => item[method]).map((method) => [method, operation(item[method]!)])),
  ]),
);
const { title, version } = source.info;
await writeFile(
  OUT,
  `{"info":${JSON.stringify({ title, version })},\n"paths":${lines(paths)},\n"components":{"schemas":${lines(schemas)}}}\n`,
);

function operation({ operationId, responses }: Operation): object {
  return {
    operationId,
    responses: Object.fromEntries(
      Object.entries(responses).map(([status, { content = {} }]) => [
        status,
        Object.fromEntries(Object.entries(content).map(([type, { schema = {} }]) => [type, plain(schema)])),
      ]),
    ),
  };
}

/** JSON Schema for a schema of OpenAPI 3.0. */
function plain(schema: Schema): Schema {
  if (typeof schema.$ref === "string") return reference(schema.$ref.slice(REF.length));
  const merged = schema.allOf === undefined ? schema : merge(schema);
  if (typeof merged.$ref === "string") return orNull(schema, plain(merged));
  const out: Schema = {};
  for (const [key, value] of Object.entries(merged)) if (KEPT.has(key)) out[key] = value;
  if (FORMATS.has(merged.format as string)) out.format = merged.format!;
  for (const key of ["oneOf", "anyOf"]) {
    if (merged[key] !== undefined) out[key] = (merged[key] as Schema[]).map(plain);
  }
  if (merged.items !== undefined) out.items = plain(merged.items as Schema);
  const { properties, additionalProperties } = merged;
  if (properties !== undefined) {
    out.properties = Object.fromEntries(
      Object.entries(properties as Record<string, Schema>).map(([name, property]) => [name, plain(property)]),
    );
  }
  if (additionalProperties !== undefined) {
    out.additionalProperties =
      typeof additionalProperties === "boolean" ? additionalProperties : plain(additionalProperties as Schema);
  } else if (properties !== undefined) {
    out.additionalProperties = false;
  }
  return orNull(schema, out);
}

/** `allOf` with one reference and nothing beside it, which is most of them, is that reference; others become one schema. */
function merge({ allOf, ...own }: Schema): Schema {
  const parts = allOf as Schema[];
  const says = Object.keys(own).filter((key) => key === "properties" || (KEPT.has(key) && key !== "type"));
  if (parts.length === 1 && says.length === 0) return parts[0]!;
  return [...parts, own].reduce((all: Schema, part) => {
    const { $ref } = part;
    const one = typeof $ref === "string" ? source.components.schemas[$ref.slice(REF.length)]! : part;
    const flat = one.allOf === undefined ? one : merge(one);
    return { ...all, ...flat, ...mergedMembers(all, flat) };
  }, {});
}

function mergedMembers(a: Schema, b: Schema): Schema {
  const out: Schema = {};
  if (a.properties && b.properties) out.properties = { ...(a.properties as Schema), ...(b.properties as Schema) };
  if (a.required && b.required) out.required = [...new Set([...(a.required as string[]), ...(b.required as string[])])];
  return out;
}

function reference(name: string): Schema {
  if (schemas[name] === undefined) {
    schemas[name] = {}; // a schema may reach itself
    schemas[name] = plain(source.components.schemas[name]!);
  }
  return { $ref: REF + name };
}

function orNull({ nullable }: Schema, schema: Schema): Schema {
  return nullable === true ? { anyOf: [schema, { type: "null" }] } : schema;
}

/** A line each, so that a newer document shows what changed. */
function lines(record: Record<string, unknown>): string {
  const sorted = Object.entries(record).toSorted(([a], [b]) => (a < b ? -1 : 1));
  return `{\n${sorted.map(([key, value]) => `${JSON.stringify(key)}:${JSON.stringify(value)}`).join(",\n")}\n}`;
}
