/**
 * Compares, customer by customer, what the object's log says (counted again by the object), what the store's rollups add up to, and what
 * the archive's files hold, and prints it. Customers that are written to meanwhile are compared again.
 */
import {
  auditObject,
  compare,
  countArchive,
  metersOf,
  pause,
  registryOf,
  Tally,
  readRollups,
  type Audited,
  type Registered,
  type Server,
  type Steps,
} from "./reconcile";
import { grouped, table } from "./reconcile-report";

/** Who is written to while it is compared is compared again, so often. */
const ROUNDS_MAX = 3;
/** How long store and archive may take to hear of what the object says. */
const CATCH_UP_MS_MAX = 90_000;
const POLL_MS = 1_000;

interface Verdict {
  customer: string;
  events: { object: number; store: number; archive: number };
  differences: string[];
}

export interface Findings {
  /** By object. */
  verdicts: Map<string, Verdict>;
  /** Customers that could not be compared. */
  busy: string[];
  /** Files that the archive's index names and nobody has. */
  missing: string[];
  files: number;
  meters: number;
}

export async function verify(server: Server, steps: Steps): Promise<Findings> {
  const meters = await metersOf(server);
  const verdicts = new Map<string, Verdict>();
  let missing: string[] = [];
  let files = 0;
  let busy: string[] = [];
  let todo: Set<string> | null = null;
  for (let round = 0; round < ROUNDS_MAX && todo?.size !== 0; round++) {
    const before = await registryOf(server);
    const rows = [...before.values()].filter((row) => row.object === row.home && todo?.has(row.object) !== false);
    const audited = await auditAll(server, rows, steps);
    const registry = await caughtUp(server, audited, steps);
    const { tallies: store } = await readRollups(server, meters, steps);
    const through = new Map([...audited].map(([object, { seq }]) => [object, seq]));
    const archive = await countArchive(server, meters, registry, through, steps);
    missing = archive.missing;
    files = archive.files;
    const after = await registryOf(server);
    todo = new Set();
    for (const [object, { seq, tally, differences }] of audited) {
      const row = registry.get(object)!;
      // The rollups were read when they were of another moment than the log.
      if (row.seq > seq || after.get(object)?.seq !== row.seq || after.get(object)?.home !== object) {
        todo.add(object);
        continue;
      }
      verdicts.set(object, judge(row, { seq, tally, differences }, store.get(object), archive.tallies.get(object)));
    }
    for (const [place, tallies] of [
      ["store", store],
      ["archive", archive.tallies],
    ] as const) {
      for (const [object, tally] of tallies) strangers(place, object, tally, after, verdicts);
    }
    busy = [...todo].map((object) => after.get(object)?.customerKey ?? object);
  }
  return { verdicts, busy, missing, files, meters: meters.meters.size };

  function judge(row: Registered, audited: Audited, store = new Tally(), archive = new Tally()): Verdict {
    const differences = audited.differences.map((difference) => `the object disagrees with its log: ${difference}`);
    const events = { object: audited.tally.events, store: row.events, archive: archive.events };
    if (row.seq < audited.seq) differences.push(`the store knows its log up to entry ${row.seq} of ${audited.seq}`);
    if (row.archivedSeq < audited.seq)
      differences.push(`the archive has its log up to entry ${row.archivedSeq} of ${audited.seq}`);
    if (events.store !== events.object) differences.push(`events: object ${events.object}, store ${events.store}`);
    if (events.archive !== events.object)
      differences.push(`events: object ${events.object}, archive ${events.archive}`);
    for (const meter of meters.meters.values()) {
      differences.push(...compare(meter, ["object", audited.tally], ["store", store]));
      differences.push(...compare(meter, ["object", audited.tally], ["archive", archive]));
    }
    return { customer: row.customerKey, events, differences };
  }
}

/** Usage of an object that holds nothing, or that nobody has heard of. */
function strangers(
  place: string,
  object: string,
  tally: Tally,
  registry: ReadonlyMap<string, Registered>,
  verdicts: Map<string, Verdict>,
): void {
  const row = registry.get(object);
  if (row?.home === object || (tally.events === 0 && isEmpty(tally))) return;
  const verdict = verdicts.get(object) ?? {
    customer: row?.customerKey ?? object,
    events: { object: 0, store: 0, archive: 0 },
    differences: [],
  };
  verdict.differences.push(`the ${place} has usage of ${object}, which holds none`);
  verdicts.set(object, verdict);
}

const isEmpty = ({ meters }: Tally): boolean =>
  [...meters.values()].every((groups) => [...groups.values()].every(({ count }) => count === 0));

async function auditAll(server: Server, rows: readonly Registered[], steps: Steps): Promise<Map<string, Audited>> {
  const audited = new Map<string, Audited>();
  for (const [done, { object }] of rows.entries()) {
    const found = await auditObject(server, object);
    if (found !== null) audited.set(object, found);
    steps(done + 1, rows.length, "customers counted again");
  }
  return audited;
}

/** The registry as soon as store and archive know what these objects know; after a while as it is. */
async function caughtUp(
  server: Server,
  audited: ReadonlyMap<string, Audited>,
  steps: Steps,
): Promise<Map<string, Registered>> {
  const untilMs = Date.now() + CATCH_UP_MS_MAX;
  for (;;) {
    const registry = await registryOf(server);
    const behind = [...audited].filter(([object, { seq }]) => {
      const row = registry.get(object);
      return row === undefined || row.seq < seq || row.archivedSeq < seq;
    });
    steps(audited.size - behind.length, audited.size, "customers known to store and archive");
    if (behind.length === 0 || Date.now() > untilMs) return registry;
    await pause(POLL_MS);
  }
}

/** The table and every difference. True: everything agrees. */
export function printFindings({ verdicts, busy, missing, files, meters }: Findings): boolean {
  const objects = [...verdicts.keys()].toSorted();
  const rows = objects.map((object) => {
    const { customer, events, differences } = verdicts.get(object)!;
    const verdict = differences.length === 0 ? "ok" : `${differences.length} differ`;
    return [customer, grouped(events.object), grouped(events.store), grouped(events.archive), verdict];
  });
  console.log(table(["customer", "events: object", "store", "archive", ""], rows));
  for (const object of objects) {
    const { customer, differences } = verdicts.get(object)!;
    for (const difference of differences) console.log(`  ✗ ${customer}: ${difference}`);
  }
  for (const file of missing) console.log(`  ✗ the archive's file ${file} is missing`);
  for (const customer of busy) console.log(`  – ${customer} was written to all the time, and is not compared`);
  const differing = [...verdicts.values()].filter(({ differences }) => differences.length > 0).length;
  const events = [...verdicts.values()].reduce((sum, verdict) => sum + verdict.events.object, 0);
  const what = `${grouped(events)} events of ${grouped(verdicts.size)} customers, ${meters} meters, ${grouped(files)} files`;
  const agree = differing + missing.length === 0;
  console.log(
    agree ? `  ✓ ${what}: objects, store and archive agree` : `  ✗ ${differing} customers differ, of ${what}`,
  );
  return agree;
}
