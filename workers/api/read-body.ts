/**
 * Request bodies: bounded, valid UTF-8, JSON with exact numbers, of the contract's shape. Everything that is wrong with one
 * is a 4xx that says what to change. Nothing here knows a resource.
 */
import { Buffer, isUtf8 } from "node:buffer";
import type * as z from "zod";
import { readExact } from "../../core/exact-json";
import { invalid, Problem, type ValidationError } from "./problem";

/** Our own resources; the largest are burn tables, whose published snapshot is at most 1 MB. */
export const BODY_BYTES_MAX = 1024 * 1024;
/** As many faults as a person reads at once. */
const FAULTS_SHOWN_MAX = 20;

/** `Content-Type` without parameters, lower case. */
export const mediaType = (request: Request): string =>
  (request.headers.get("content-type") ?? "").split(";", 1)[0]!.trim().toLowerCase();

export async function readText(request: Request, bytesMax: number): Promise<string> {
  const encoding = request.headers.get("content-encoding");
  if (encoding !== null && encoding !== "identity") throw new Problem(415, "the body must not be compressed");
  const length = request.headers.get("content-length");
  if (length !== null && Number(length) > bytesMax) throw tooLarge(bytesMax);
  const bytes = Buffer.from(length === null ? await readStream(request.body, bytesMax) : await request.arrayBuffer());
  if (bytes.byteLength > bytesMax) throw tooLarge(bytesMax);
  return textOf(bytes);
}

/** A body that may be compressed; `bytesMax` holds for what comes out of it. */
export async function readBytes(request: Request, bytesMax: number): Promise<Buffer> {
  const encoding = request.headers.get("content-encoding") ?? "identity";
  if (encoding === "identity") return Buffer.from(await readStream(request.body, bytesMax));
  if (encoding !== "gzip") throw new Problem(415, "the body may be compressed with gzip only");
  const plain = request.body?.pipeThrough(new DecompressionStream("gzip")) ?? null;
  try {
    return Buffer.from(await readStream(plain, bytesMax));
  } catch (error) {
    if (error instanceof Problem) throw error;
    throw new Problem(400, "the body is not valid gzip");
  }
}

export function textOf(bytes: Buffer): string {
  // Replacement characters would make two different ids the same. TextDecoder would check too, but gives ASCII as a two-byte
  // string, which makes everything that is read out of it slower.
  if (!isUtf8(bytes)) throw new Problem(400, "the body is not valid UTF-8");
  const text = bytes.toString("utf8");
  return text.charCodeAt(0) === BYTE_ORDER_MARK ? text.slice(1) : text;
}

const BYTE_ORDER_MARK = 0xfeff;

/** A body of unannounced length is counted while it arrives. */
async function readStream(body: ReadableStream | null, bytesMax: number): Promise<ArrayBuffer> {
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  for await (const chunk of (body ?? []) as AsyncIterable<Uint8Array>) {
    bytes += chunk.byteLength;
    if (bytes > bytesMax) throw tooLarge(bytesMax);
    chunks.push(chunk);
  }
  return new Blob(chunks as Uint8Array<ArrayBuffer>[]).arrayBuffer();
}

const tooLarge = (bytesMax: number): Problem => new Problem(413, `the body must be at most ${bytesMax} bytes`);

export const parseJson = (text: string): unknown => readJson(text).value;

/** With what core/exact-json says of it: whether JSON.parse alone would read it as exactly. */
export function readJson(text: string): { value: unknown; plain: boolean } {
  if (text.trim() === "") throw new Problem(400, "the body is empty; it must be JSON");
  try {
    return readExact(text);
  } catch (error) {
    if (error instanceof SyntaxError) throw new Problem(400, `the body is not JSON: ${error.message}`);
    throw error;
  }
}

/** Zod's verdict as ours: one fault a field, in words that do not need its schema. */
export function parseShape<T extends z.ZodType>(schema: T, value: unknown): z.output<T> {
  const trap = trapIn(value);
  if (trap !== null) throw invalid([{ field: fieldOf(trap), message: "is not a name that can be used here" }]);
  const parsed = schema.safeParse(value, { error: plainly });
  if (parsed.success) return parsed.data;
  // Of several of one field the last: zod's own bound of an integer comes before ours.
  const faults = new Map(parsed.error.issues.flatMap(faultsOf).map((fault) => [fault.field, fault]));
  throw invalid([...faults.values()].slice(0, FAULTS_SHOWN_MAX));
}

/** Where `__proto__` is a name in this JSON, which zod would leave out in silence; null: nowhere. */
function trapIn(value: unknown): PropertyKey[] | null {
  if (typeof value !== "object" || value === null || JSON.isRawJSON(value)) return null;
  if (!Array.isArray(value) && Object.hasOwn(value, "__proto__")) return ["__proto__"];
  for (const [key, inner] of Object.entries(value)) {
    const trap = trapIn(inner);
    if (trap !== null) return [Array.isArray(value) ? Number(key) : key, ...trap];
  }
  return null;
}

function faultsOf({ path, message, ...issue }: z.core.$ZodIssue): ValidationError[] {
  if (issue.code === "unrecognized_keys")
    return issue.keys.map((key) => ({ field: fieldOf([...path, key]), message: "is not a known field" }));
  return [{ field: fieldOf(path), message }];
}

const PLAIN_NAME = /^[A-Za-z][\w.-]*$/;

/** As core writes it: `rules[0].per`, `usage["1x"]`. */
const fieldOf = (path: readonly PropertyKey[]): string =>
  path
    .map((part, place) => {
      if (typeof part === "number") return `[${part}]`;
      const name = String(part);
      if (place === 0) return name;
      return PLAIN_NAME.test(name) ? `.${name}` : `[${JSON.stringify(name)}]`;
    })
    .join("");

const NOUNS: Record<string, string> = {
  string: "a string",
  number: "a number",
  int: "a whole number",
  boolean: "true or false",
  null: "null",
  array: "a list",
  object: "a JSON object",
  record: "a JSON object",
};
const noun = (expected: string): string => NOUNS[expected] ?? expected;

/** Zod's own words, for people. A schema that brings its own is not asked here. */
function plainly(issue: z.core.$ZodRawIssue): string | undefined {
  if (issue.input === undefined && issue.code !== "unrecognized_keys") return "is required";
  switch (issue.code) {
    case "invalid_type":
      return `must be ${noun(issue.expected)}`;
    case "invalid_value": {
      const values = issue.values.map((one) => (typeof one === "string" ? JSON.stringify(one) : String(one)));
      return `must be ${values.length === 1 ? "" : "one of "}${values.join(", ")}`;
    }
    case "invalid_union": {
      const kinds = issue.errors.flatMap(([first]) => (first?.code === "invalid_type" ? [noun(first.expected)] : []));
      return kinds.length === 0 ? "is of a kind that cannot be used here" : `must be ${kinds.join(", or ")}`;
    }
    case "too_big":
      return issue.origin === "string"
        ? `must be at most ${issue.maximum} characters`
        : `must ${issue.origin === "array" ? "have" : "be"} at most ${issue.maximum}${issue.origin === "array" ? " entries" : ""}`;
    case "too_small":
      if (issue.origin === "number" || issue.origin === "int") return `must be at least ${issue.minimum}`;
      return Number(issue.minimum) === 1
        ? "must not be empty"
        : `must have at least ${issue.minimum} ${issue.origin === "string" ? "characters" : "entries"}`;
    case "invalid_key":
      return "is not a name that can be used here";
    // Formats and rules of our own come with their words; unknown fields are named one by one (faultsOf).
    case "invalid_format":
    case "custom":
    case "unrecognized_keys":
    case "not_multiple_of":
    case "invalid_element":
      return undefined;
  }
}
