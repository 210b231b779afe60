/**
 * Reads the Azure LLM inference trace: every request that two production LLM services of Azure received in an hour of 2023.
 * The files hold three lines of comma-separated integers, gzipped: microseconds since the request before (the first: since
 * 1970), prompt tokens, generated tokens. Nothing of the original is lost but its punctuation. Credit: CREDIT.md.
 */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { gunzipSync } from "node:zlib";

export const CUSTOMERS = ["code", "conv"] as const;
export type Customer = (typeof CUSTOMERS)[number];

export interface LlmRequest {
  customer: Customer;
  /** Its place in the customer's trace, from 0. */
  index: number;
  /** RFC 3339, to the microsecond. */
  time: string;
  inputTokens: number;
  outputTokens: number;
}

/** The requests of one customer, oldest first. */
export function* readTrace(customer: Customer): Generator<LlmRequest, void, undefined> {
  const text = gunzipSync(readFileSync(join(import.meta.dirname, `${customer}.csv.gz`))).toString("latin1");
  const [gapsUs = [], inputs = [], outputs = []] = text
    .trimEnd()
    .split("\n")
    .map((line) => line.split(",").map(Number));
  let timeUs = 0;
  for (let index = 0; index < gapsUs.length; index++) {
    timeUs += gapsUs[index]!;
    yield { customer, index, time: instantOf(timeUs), inputTokens: inputs[index]!, outputTokens: outputs[index]! };
  }
}

/** A Date holds milliseconds; the last three digits are added to its text. Below 2⁵³, so all of it is exact. */
function instantOf(timeUs: number): string {
  const milliseconds = new Date(Math.floor(timeUs / 1_000)).toISOString().slice(0, -1);
  return `${milliseconds}${String(timeUs % 1_000).padStart(3, "0")}Z`;
}
