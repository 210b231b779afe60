/**
 * CPU that a process has used, all its threads, dead ones included: the benchmark's primary figure, because it repeats where
 * requests per second do not. Reads /proc, so Linux only. Also finds the workerd processes that this process has started.
 */
import { readdirSync, readFileSync } from "node:fs";

/** USER_HZ: what /proc counts in. 100 on every Linux that Node runs on. */
const TICKS_PER_SECOND = 100;
/** Fields of /proc/<pid>/stat after the command's name, which may hold spaces and brackets itself. */
const STAT_PPID = 1;
const STAT_UTIME = 11;
const STAT_STIME = 12;

/** User and system time since the process started. Resolution 10 ms: measure seconds, not moments. */
export function processCpuMs(pid: number): number {
  const fields = statFields(pid);
  if (fields === null) throw new Error(`process ${pid} is gone: did workerd crash under load?`);
  return ((Number(fields[STAT_UTIME]) + Number(fields[STAT_STIME])) * 1_000) / TICKS_PER_SECOND;
}

/** Resident memory now. */
export function processRssBytes(pid: number): number {
  const line = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"));
  return Number(line?.[1] ?? 0) * 1_024;
}

/** The live workerd processes that are children of this one. */
export function workerdChildren(): Set<number> {
  const pids = readdirSync("/proc")
    .filter((entry) => /^\d+$/.test(entry))
    .map(Number)
    .filter((pid) => Number(statFields(pid)?.[STAT_PPID]) === process.pid && commandLine(pid).includes("workerd"));
  return new Set(pids);
}

function statFields(pid: number): string[] | null {
  try {
    return readFileSync(`/proc/${pid}/stat`, "utf8").split(") ").at(-1)!.split(" ");
  } catch {
    return null;
  }
}

function commandLine(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, "utf8");
  } catch {
    return "";
  }
}
