/**
 * `npm run replay`: makes the rollups of a namespace again, object by object, from the logs and under a new epoch, takes away the rows that
 * no log accounts for, and proves the result equal to what was there before and to the archive. What it repaired is printed; exit code 1
 * when objects, store and archive do not agree afterwards. Harmless to interrupt and to repeat. TOLLGATE_URL and TOLLGATE_KEY as for verify.
 */
import type { CompiledMeters } from "../core/meter";
import { LOCAL_KEY } from "./local";
import {
  auditObject,
  compare,
  metersOf,
  pause,
  readRollups,
  registryOf,
  Server,
  Stop,
  Tally,
  type Registered,
  type Steps,
  type StoredRollups,
} from "./reconcile";
import { grouped, progressBar, table } from "./reconcile-report";
import { printFindings, verify } from "./reconcile-verify";

/** Of one call that takes old rows away. */
const OBJECTS_PER_PURGE = 100;
/** How long the queue may take to bring what was rebuilt. */
const ARRIVAL_MS_MAX = 180_000;
const POLL_MS = 1_000;

const silently: Steps = () => {};

const server = new Server(process.env.TOLLGATE_URL ?? "http://localhost:8787", process.env.TOLLGATE_KEY ?? LOCAL_KEY);
const bar = progressBar();
try {
  const meters = await metersOf(server);
  const before = await registryOf(server);
  const rowsBefore = await readRollups(server, meters, bar.steps);
  const objects = [...before.values()].filter(({ object, home }) => object === home);
  await arrival(meters, await rebuild(objects));
  const purged = await purge(objects);
  const rowsAfter = await readRollups(server, meters, bar.steps);
  const after = await registryOf(server);
  const findings = await verify(server, bar.steps);
  bar.stop();

  const changed = objects.filter(({ object }) => rowsBefore.prints.get(object) !== rowsAfter.prints.get(object));
  const repaired = changed.filter(({ object, events }) => after.get(object)?.events === events);
  console.log(
    table(
      ["", "before", "after"],
      [
        ["customers", grouped(objects.length), grouped(objects.length)],
        ["rollups", grouped(rowsBefore.rows), grouped(rowsAfter.rows)],
        ["of customers that changed", grouped(repaired.length), ""],
        ["rows that no log accounts for", grouped(purged), "0"],
      ],
    ),
  );
  for (const row of repaired) printRepair(row, rowsBefore, rowsAfter);
  for (const { customerKey } of changed.filter((row) => !repaired.includes(row)))
    console.log(
      `  – ${customerKey} was written to meanwhile: its rollups are new, and are not compared with those before`,
    );
  if (changed.length === 0) console.log(`  ✓ all ${grouped(rowsAfter.rows)} rollups are what they were before`);
  process.exitCode = printFindings(findings) ? 0 : 1;

  function printRepair(row: Registered, was: StoredRollups, is: StoredRollups): void {
    const [old, present] = [was.tallies.get(row.object) ?? new Tally(), is.tallies.get(row.object) ?? new Tally()];
    const differences = [...meters.meters.values()].flatMap((meter) =>
      compare(meter, ["before", old], ["now", present]),
    );
    if (differences.length === 0) differences.push("its rows were others, though they added up to the same");
    for (const difference of differences) console.log(`  ↻ ${row.customerKey}: repaired: ${difference}`);
  }
} catch (error) {
  bar.stop();
  if (!(error instanceof Stop)) throw error;
  console.error(error.message);
  process.exitCode = 2;
}

/** Each object counts its log from the start, under a new epoch; the queue brings its rollups. */
async function rebuild(objects: readonly Registered[]): Promise<Map<string, string>> {
  const epochs = new Map<string, string>();
  for (const [done, { object }] of objects.entries()) {
    const { epoch } = await server.post<{ epoch: string | null }>("/audits/rebuild", { object });
    if (epoch !== null) epochs.set(object, epoch);
    for (;;) {
      const { left } = await server.post<{ left: { done: number; total: number } | null }>("/audits/refold", {
        object,
      });
      if (left === null) break;
    }
    bar.steps(done + 1, objects.length, "customers rebuilt");
  }
  return epochs;
}

/** Until the rows of the new epochs alone add up to what the objects say, by quarters and by minutes. */
async function arrival(meters: CompiledMeters, epochs: ReadonlyMap<string, string>): Promise<void> {
  const untilMs = Date.now() + ARRIVAL_MS_MAX;
  for (let waitMs = POLL_MS; ; waitMs *= 2) {
    const audited = new Map<string, Tally>();
    for (const object of epochs.keys()) {
      const found = await auditObject(server, object);
      if (found !== null) audited.set(object, found.tally);
    }
    const { tallies, recent } = await readRollups(server, meters, silently, epochs);
    const none = new Tally();
    const missing = [...audited].filter(([object, tally]) =>
      [...meters.meters.values()].some(
        (meter) =>
          compare(meter, ["object", tally], ["store", tallies.get(object) ?? none]).length > 0 ||
          compare(
            meter,
            ["quarters", recent.quarters.get(object) ?? none],
            ["minutes", recent.minutes.get(object) ?? none],
          ).length > 0,
      ),
    );
    bar.steps(audited.size - missing.length, audited.size, "customers whose rollups the store has");
    if (missing.length === 0) return;
    if (Date.now() > untilMs)
      throw new Stop(
        `The store still lacks rollups of ${missing.length} customers: look for dead letters (\`npm run dead-letters\`), then replay again.`,
      );
    await pause(waitMs);
  }
}

async function purge(objects: readonly Registered[]): Promise<number> {
  const meters = [...(await metersOf(server)).meters.keys()];
  let all = 0;
  for (const [done, meter] of meters.entries()) {
    for (let from = 0; from < objects.length; from += OBJECTS_PER_PURGE) {
      const names = objects.slice(from, from + OBJECTS_PER_PURGE).map(({ object }) => object);
      for (let purged = -1; purged !== 0; all += purged)
        ({ purged } = await server.post<{ purged: number }>("/audits/purge", { meter, objects: names }));
    }
    bar.steps(done + 1, meters.length, "meters tidied");
  }
  return all;
}
