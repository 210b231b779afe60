/** The benchmark's findings as a table for people and as JSON for whatever compares two runs. */
import { execFileSync } from "node:child_process";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { cpus, loadavg, release, totalmem } from "node:os";
import { join } from "node:path";
import { styleText } from "node:util";
import Table from "cli-table3";
import type { Measured, Row } from "./figure";

const LATEST = join(import.meta.dirname, "results", "latest.json");

export interface Run {
  startedAt: string;
  quick: boolean;
  machine: Machine;
  figures: Record<string, Measured>;
}

interface Machine {
  cpu: string;
  cores: number;
  memoryGb: number;
  kernel: string;
  node: string;
  workerd: string;
  commit: string | null;
  /** Of the last minute, when the run started: other work on the machine shows here. */
  load: number;
}

export function describeMachine(): Machine {
  const packageOf = (name: string) =>
    JSON.parse(readFileSync(join(import.meta.dirname, "..", "node_modules", name, "package.json"), "utf8")) as {
      version: string;
    };
  return {
    cpu: cpus()[0]?.model.trim() ?? "unknown",
    cores: cpus().length,
    memoryGb: Math.round(totalmem() / 2 ** 30),
    kernel: release(),
    node: process.version,
    workerd: packageOf("workerd").version,
    commit: commit(),
    load: Math.round(loadavg()[0]! * 10) / 10,
  };
}

function commit(): string | null {
  try {
    return execFileSync("git", ["rev-parse", "--short", "HEAD"], {
      encoding: "utf8",
      stdio: ["ignore", "pipe", "ignore"],
    }).trim();
  } catch {
    return null; // not a clone, or nothing committed yet
  }
}

export function printTable(run: Run): void {
  const table = new Table({
    head: ["figure", "measured", "goal", ""],
    style: { head: [], border: [] },
    colAligns: ["left", "right", "right", "left"],
  });
  const rows = Object.values(run.figures).flatMap((measured) => measured.rows);
  for (const { figure, measured, goal, met } of rows) table.push([figure, measured, goal, verdict(met)]);
  console.log(table.toString());
  for (const { figure, detail } of rows) {
    if (detail.length === 0) continue;
    console.log(`\n${figure}`);
    for (const line of detail) console.log(`  ${line}`);
  }
  const { machine } = run;
  console.log(
    `\n${machine.cores} × ${machine.cpu}, ${machine.memoryGb} GB, Linux ${machine.kernel}, Node ${machine.node}, workerd ${machine.workerd}; ` +
      `load at the start ${machine.load}${run.quick ? "; --quick, so fewer and smaller rounds" : ""}`,
  );
}

const verdict = (met: Row["met"]): string =>
  met === null ? "" : met ? styleText("green", "ok") : styleText("red", "MISS");

/** Where it was written. */
export function writeJson(run: Run): string {
  mkdirSync(join(LATEST, ".."), { recursive: true });
  const text = JSON.stringify(run, (_, value: unknown) => (typeof value === "bigint" ? String(value) : value), 1);
  writeFileSync(LATEST, `${text}\n`);
  return LATEST;
}
