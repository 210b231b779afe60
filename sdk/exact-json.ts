/**
 * Writes JSON without losing a digit: bigints become JSON integers of any length, and a number that is not what its
 * writer meant (NaN, Infinity, an integer past 2⁵³) is refused here, where the caller can see it, instead of
 * being sent as `null` or as a neighbour. Otherwise the same text as JSON.stringify.
 */
import { InvalidInputError } from "./errors";

/** A number written as its source text, for decimals that arrive as strings but must leave as JSON numbers. */
export class NumberText {
  readonly text: string;

  constructor(text: string) {
    this.text = text;
  }
}

/** The JSON text of `value`; undefined for what JSON leaves out (undefined, functions, symbols). */
function write(value: unknown, path: string): string | undefined {
  if (typeof value === "string") return JSON.stringify(value);
  if (typeof value === "number") return writeNumber(value, path);
  if (typeof value === "bigint") return value.toString();
  if (value === null || typeof value === "boolean") return String(value);
  if (typeof value !== "object") return undefined;
  if (value instanceof NumberText) return value.text;
  if (value instanceof Date && Number.isNaN(value.getTime()))
    throw new InvalidInputError(`${path} is an invalid date.`);
  if ("toJSON" in value && typeof value.toJSON === "function") return write(value.toJSON(), path);
  if (Array.isArray(value)) {
    return `[${value.map((item, index) => write(item, `${path}[${index}]`) ?? "null").join(",")}]`;
  }
  const members: string[] = [];
  for (const [key, member] of Object.entries(value)) {
    const text = write(member, path === "" ? key : `${path}.${key}`);
    if (text !== undefined) members.push(`${JSON.stringify(key)}:${text}`);
  }
  return `{${members.join(",")}}`;
}

function writeNumber(value: number, path: string): string {
  if (!Number.isFinite(value)) throw new InvalidInputError(`${path} is ${value}, which is not a quantity.`);
  if (Number.isInteger(value) && !Number.isSafeInteger(value)) {
    throw new InvalidInputError(
      `${path} is an integer past 2^53, which a number cannot carry exactly. Pass it as a bigint or as a string.`,
    );
  }
  return String(value);
}

export const writeExactJson = (value: unknown): string => write(value, "") ?? "null";
