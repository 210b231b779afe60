/**
 * `npm run bench [-- --quick] [-- --only <figure>[,<figure>]]`: measures the figures one after the other and prints them beside
 * their goals. A goal that is missed is a finding, not a failure: the exit code is 0 unless something could not be measured.
 */
import { relative } from "node:path";
import { parseArgs } from "node:util";
import { eventsCpu, trackCpu, walletCpu } from "./cpu-figures";
import type { Bench, Figure } from "./figure";
import { dedup } from "./dedup";
import { longLog } from "./long-log";
import { fiveMeters, twentyMeters } from "./meters";
import { longQuery, namespaceQuery } from "./queries";
import { closeAll } from "./instance";
import { startLoad } from "./load";
import { rowWrites } from "./row-writes";
import { describeMachine, printTable, writeJson, type Run } from "./report";

/** A figure is a file that exports it and a place in this list. */
const FIGURES: Figure[] = [
  trackCpu,
  eventsCpu,
  walletCpu,
  rowWrites,
  longLog,
  dedup,
  fiveMeters,
  twentyMeters,
  longQuery,
  namespaceQuery,
];

const { values } = parseArgs({ options: { quick: { type: "boolean", default: false }, only: { type: "string" } } });
const only = values.only?.split(",");
const unknown = only?.filter((name) => !FIGURES.some((figure) => figure.name === name)) ?? [];
if (unknown.length > 0) {
  console.error(`There is no figure ${unknown.join(", ")}. There are:`);
  for (const { name, promise } of FIGURES) console.error(`  ${name.padEnd(12)} ${promise}`);
  process.exit(2);
}

const startMs = performance.now();
const elapsed = () => `${((performance.now() - startMs) / 1_000).toFixed(0).padStart(4)} s`;
const progress = (text: string) => {
  if (process.stderr.isTTY) process.stderr.write(`\r\x1b[K${elapsed()}  ${text}`);
  else process.stderr.write(`${elapsed()}  ${text}\n`);
};
const clearProgress = () => process.stderr.isTTY && process.stderr.write("\r\x1b[K");

const bench: Bench = { load: startLoad(), quick: values.quick, progress };
const run: Run = { startedAt: new Date().toISOString(), quick: values.quick, machine: describeMachine(), figures: {} };

// miniflare's own handlers would leave our state behind.
for (const signal of ["SIGINT", "SIGTERM"] as const) {
  process.removeAllListeners(signal);
  process.once(signal, () => void closeAll().finally(() => process.exit(130)));
}

try {
  for (const figure of FIGURES) {
    if (only === undefined ? values.quick && figure.slow : !only.includes(figure.name)) continue;
    try {
      run.figures[figure.name] = await figure.measure(bench);
    } catch (error) {
      clearProgress();
      console.error(`${figure.name} could not be measured: ${error instanceof Error ? error.stack : String(error)}`);
      process.exitCode = 1;
    }
  }
  clearProgress();
  printTable(run);
  console.log(`${elapsed().trim()}; everything measured is in ${relative(process.cwd(), writeJson(run))}`);
} finally {
  bench.load.close();
  await closeAll();
}
