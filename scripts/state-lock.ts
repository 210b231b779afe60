/**
 * One launcher per state directory. workerd outlives a launcher that was killed with -9 and would keep the port and write to
 * the same files as the next one, so its process id is written down and an orphan is ended before the directory is used again.
 */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { mkdir, readFile, rm, writeFile } from "node:fs/promises";
import { execFileSync } from "node:child_process";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";

interface Lock {
  launcherPid: number;
  workerdPids: number[];
}

const ORPHAN_EXIT_MS = 5_000;

/** Refuses when a live launcher holds the directory; ends the orphans of a dead one. */
export async function takeStateDir(stateDir: string): Promise<void> {
  await mkdir(stateDir, { recursive: true });
  const lock = await readLock(stateDir);
  if (lock === undefined) return;
  const orphans = lock.workerdPids.filter((pid) => commandOf(pid).includes("workerd"));
  if (orphans.length > 0 && commandOf(lock.launcherPid) !== "") {
    throw new Error(
      `Another Tollgate (process ${lock.launcherPid}) is using ${stateDir}. Stop it, or set TOLLGATE_STATE to another directory.`,
    );
  }
  for (const pid of orphans) process.kill(pid, "SIGKILL");
  const deadline = Date.now() + ORPHAN_EXIT_MS;
  while (!orphans.every(hasExited) && Date.now() < deadline) await delay(10);
}

export async function writeLock(stateDir: string): Promise<void> {
  const lock: Lock = { launcherPid: process.pid, workerdPids: workerdPids() };
  await writeFile(lockFile(stateDir), JSON.stringify(lock));
}

/** The workerd processes that this one started. */
export const workerdPids = () => childrenOf(process.pid).filter((pid) => commandOf(pid).includes("workerd"));

export const releaseStateDir = (stateDir: string) => rm(lockFile(stateDir), { force: true });

const lockFile = (stateDir: string) => join(stateDir, "launcher.json");

async function readLock(stateDir: string): Promise<Lock | undefined> {
  try {
    return JSON.parse(await readFile(lockFile(stateDir), "utf8")) as Lock;
  } catch {
    return undefined; // absent, or half-written by a launcher that was killed at that moment
  }
}

/** The command line of a live process, or "". From /proc where there is one: slim containers have no `ps`. */
function commandOf(pid: number): string {
  try {
    return existsSync("/proc/self")
      ? readFileSync(`/proc/${pid}/cmdline`, "utf8").replaceAll("\0", " ")
      : execFileSync("ps", ["-o", "command=", "-p", String(pid)], {
          encoding: "utf8",
          stdio: ["ignore", "pipe", "ignore"],
        });
  } catch {
    return "";
  }
}

/** Gone, or a zombie that nobody reaps. While one of its threads lives, its sockets are open. */
function hasExited(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return existsSync("/proc/self") && statOf(pid)[0] === "Z" && readdirSync(`/proc/${pid}/task`).length === 1;
  } catch {
    return true;
  }
}

/** [state, parent, …]. The fields before them are "pid (command)", and a command may contain spaces and brackets. */
const statOf = (pid: number) => readFileSync(`/proc/${pid}/stat`, "utf8").split(") ").at(-1)?.split(" ") ?? [];

function childrenOf(parentPid: number): number[] {
  if (!existsSync("/proc/self")) {
    const rows = execFileSync("ps", ["-A", "-o", "pid=,ppid="], { encoding: "utf8" }).trim().split("\n");
    return rows
      .map((row) => row.trim().split(/\s+/).map(Number))
      .flatMap(([pid, ppid]) => (pid !== undefined && ppid === parentPid ? [pid] : []));
  }
  return readdirSync("/proc")
    .filter((entry) => /^\d+$/.test(entry))
    .map(Number)
    .filter((pid) => {
      try {
        return Number(statOf(pid)[1]) === parentPid;
      } catch {
        return false;
      }
    });
}
