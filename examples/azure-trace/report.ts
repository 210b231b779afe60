/** What the demo prints: percentiles, tables, a progress bar. Numbers in, text out; nothing here talks to a server. */
import { SingleBar } from "cli-progress";
import Table from "cli-table3";

export const grouped = (value: number): string => Math.round(value).toLocaleString("en-US");

/** The smallest value that at least `share` of all values do not exceed (nearest rank). */
export function percentile(values: readonly number[], share: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)] ?? Number.NaN;
}

export const latencyMs = (ms: number): string => (Number.isNaN(ms) ? "–" : `${ms.toFixed(ms < 10 ? 1 : 0)} ms`);

/** Lines without colour codes: they are pasted into READMEs, and CI logs keep them as they are. A `total` is ruled off. */
export function table(head: string[], rows: string[][], total?: string[]): string {
  const colAligns = head.map((_, column) => (column === 0 ? ("left" as const) : ("right" as const)));
  const drawn = new Table({ head, colAligns, style: { head: [], border: [] } });
  drawn.push(...rows, ...(total ? [total] : []));
  return drawn
    .toString()
    .split("\n")
    .filter((line, index, lines) => !line.startsWith("├") || index === 2 || (total && index === lines.length - 3))
    .map((line) => `  ${line}`)
    .join("\n");
}

/** Counts up to `total`, with its rate. Silent where no terminal reads it. */
export function progress(total: number): { set: (done: number) => void; stop: () => void } {
  const startedMs = performance.now();
  const bar = new SingleBar({
    format: "  {bar} {done} of {all} events · {rate} events/s",
    barCompleteChar: "█",
    barIncompleteChar: "░",
    barsize: 32,
    hideCursor: true,
    clearOnComplete: true,
    stopOnComplete: false,
  });
  const figures = (done: number) => ({
    done: grouped(done),
    all: grouped(total),
    rate: grouped(done / Math.max(0.001, (performance.now() - startedMs) / 1_000)),
  });
  bar.start(total, 0, figures(0));
  return { set: (done) => bar.update(done, figures(done)), stop: () => bar.stop() };
}
