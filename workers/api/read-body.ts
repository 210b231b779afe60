/**
 * Request bodies: bounded, valid UTF-8, JSON with exact numbers, of the contract's shape. Everything that is wrong with one
 * is a 4xx that says what to change. Nothing here knows a resource.
 */
import { Buffer, isUtf8 } from "node:buffer";
import type { z } from "zod";
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
  const bytes = Buffer.from(length === null ? await readStream(request, bytesMax) : await request.arrayBuffer());
  if (bytes.byteLength > bytesMax) throw tooLarge(bytesMax);
  // Replacement characters would make two different ids the same. TextDecoder would check too, but gives ASCII as a two-byte
  // string, which makes everything that is read out of it slower.
  if (!isUtf8(bytes)) throw new Problem(400, "the body is not valid UTF-8");
  const text = bytes.toString("utf8");
  return text.charCodeAt(0) === BYTE_ORDER_MARK ? text.slice(1) : text;
}

const BYTE_ORDER_MARK = 0xfeff;

/** A body of unannounced length is counted while it arrives. */
async function readStream(request: Request, bytesMax: number): Promise<ArrayBuffer> {
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  for await (const chunk of (request.body ?? []) as AsyncIterable<Uint8Array>) {
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

/** Zod's verdict as ours. `where` names the part of the request when it is not the body. */
export function parseShape<T extends z.ZodType>(schema: T, value: unknown, where?: string): z.output<T> {
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  const faults = parsed.error.issues
    .flatMap((issue) => faultsOf(issue))
    .map(({ field, message }) => ({
      field: where === undefined ? field : [where, field].filter(Boolean).join("."),
      message,
    }));
  throw invalid(faults.slice(0, FAULTS_SHOWN_MAX));
}

function faultsOf(issue: z.core.$ZodIssue): ValidationError[] {
  if (issue.code === "unrecognized_keys") {
    return issue.keys.map((key) => ({
      field: [...issue.path, key].map(String).join("."),
      message: "is not a known field",
    }));
  }
  const field = issue.path.map(String).join(".");
  if (issue.code === "invalid_type" && issue.input === undefined && issue.message.includes("received undefined")) {
    return [{ field, message: "is required" }];
  }
  return [{ field, message: decapitalized(issue.message) }];
}

const decapitalized = (message: string): string => message.replace(/^[A-Z]/, (letter) => letter.toLowerCase());
