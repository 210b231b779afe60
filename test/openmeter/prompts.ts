/** What the suites of queries share: one meter, six events of one subject around a turn of the month, and how to read rows. */
import type { MeterQueryRow, OpenMeter } from "@openmeter/sdk";
import { event } from "./harness";

export const T = (time: string): Date => new Date(`${time}Z`);

export const ANN = { subject: ["ann"] };

export async function recordPrompts(om: OpenMeter): Promise<void> {
  await om.meters.create({
    slug: "tokens",
    eventType: "prompt",
    aggregation: "SUM",
    valueProperty: "$.tokens",
    groupBy: { model: "$.model", kind: "$.kind" },
  });
  const prompt = (time: string, data: Record<string, unknown>) => event("prompt", "ann", T(time), data);
  await om.events.ingest([
    prompt("2025-01-31T23:59:59", { tokens: 1, model: "small", kind: "input" }),
    prompt("2025-02-01T00:00:00", { tokens: 2, model: "small", kind: "output" }),
    prompt("2025-02-01T00:00:30", { tokens: 4, model: "large", kind: "input" }),
    prompt("2025-02-01T00:59:59", { tokens: 8, model: "large", kind: "output" }),
    prompt("2025-02-01T01:00:00", { tokens: 16, model: "small", kind: "input" }),
    prompt("2025-02-03T12:34:56", { tokens: 32, kind: "input" }),
  ]);
}

/** The client's types of a POST know the file too. */
const rowsOf = (answer: unknown): MeterQueryRow[] => (answer as { data: MeterQueryRow[] }).data;

export const values = (answer: unknown): number[] => rowsOf(answer).map(({ value }) => value);

/** A row per group and window, in an order of their own: OpenMeter orders by window only. */
export const rows = (answer: unknown, ...dimensions: string[]): unknown[][] =>
  rowsOf(answer)
    .map(({ value, subject, groupBy }) => [
      ...dimensions.map((name) => (name === "subject" ? subject : groupBy[name])),
      value,
    ])
    .toSorted((a, b) => (String(a) < String(b) ? -1 : 1));
