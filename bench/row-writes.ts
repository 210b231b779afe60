/**
 * Rows written per event, as the platform bills them: those of the objects, one for each alarm set, those of D1; merges, deletes and
 * checkpoints included, for it counts until all is quiet. Ten thousand events of two minutes in eight groups of one meter.
 */
import { apiOf, grant, publishPrices } from "./api";
import { sumsOf } from "./bodies";
import { planOf, type Route } from "./contest";
import { atMost, fixed, whole, type Bench, type Figure, type Measured, type Row } from "./figure";
import { freshState, startInstrumented, startProduct, type Instance } from "./instance";
import { credits, settled } from "./settled";
import { newStream, ROUTES } from "./stage";
import type { WriteCounts } from "./subject";

const EVENTS = 10_000;
const GRANTED = 1_000_000;
const QUIET_LIMIT_MS = 120_000;
const STATEMENTS_SHOWN = 8;

const CASES: { what: string; batch: number; goal: number; slow?: boolean }[] = [
  { what: "single track", batch: 1, goal: 2.5, slow: true },
  { what: "batches of 100", batch: 100, goal: 0.1 },
  { what: "batches of 1,000", batch: 1_000, goal: 0.02, slow: true },
];

export const rowWrites: Figure = {
  name: "rows",
  promise: "rows written per event: objects, alarms and D1",
  async measure(bench) {
    bench.progress("row writes: starting the counted product");
    const stateDir = await freshState("counted");
    // Migrates and seeds; the counted instance goes on with the same state.
    await (await startProduct(stateDir)).close();
    const instance = await startInstrumented(stateDir, { counted: true });
    const api = apiOf(instance);
    await publishPrices(api);
    const cases = bench.quick ? CASES.filter(({ slow }) => !slow) : CASES;
    // The customers' beginnings are not their events': they exist, are funded and known to D1 before anything is counted.
    for (const { batch } of cases) await grant(api, customerOf(batch), GRANTED);
    for (const { batch } of cases)
      await settled(
        instance,
        { customer: customerOf(batch), sent: { ...NOTHING, granted: credits(GRANTED) }, metered: true },
        QUIET_LIMIT_MS,
      );
    const measured: Measured = { rows: [], data: {} };
    for (const { what, batch, goal } of cases) {
      bench.progress(`row writes: ${what}`);
      const { perEvent, counts } = await count(bench, instance, batch);
      const row: Row = {
        figure: `row writes per event: ${what}`,
        measured: fixed(perEvent, 4),
        goal: `≤ ${goal}`,
        met: atMost(perEvent, goal),
        detail: [
          `${whole(EVENTS)} events in ${whole(EVENTS / batch)} requests: ${whole(counts.objectRows)} rows of objects, ` +
            `${whole(counts.alarms)} alarms, ${whole(counts.d1Rows)} rows of D1`,
          Object.entries(counts.statements)
            .toSorted(([, a], [, b]) => b - a)
            .slice(0, STATEMENTS_SHOWN)
            .map(([name, rows]) => `${name} ${whole(rows)}`)
            .join(", "),
        ],
      };
      measured.rows.push(row);
      Object.assign(measured.data as object, { [what]: { events: EVENTS, perEvent, ...counts } });
    }
    await instance.close();
    return measured;
  },
};

const NOTHING = { events: 0, tokens: 0n, cost: 0n };
const customerOf = (batch: number): string => `counted-${batch}`;

async function count(
  { load }: Bench,
  instance: Instance,
  batch: number,
): Promise<{ perEvent: number; counts: WriteCounts }> {
  const customer = customerOf(batch);
  const stream = newStream(batch === 1 ? "track-metered" : "events", customer, batch);
  const route: Route = batch === 1 ? ROUTES.track : ROUTES.events;
  const before = await writes(instance);
  const requests = EVENTS / batch;
  await load.send(planOf(instance, route, stream, 0, requests));
  await settled(
    instance,
    { customer, sent: { ...sumsOf(stream, 0, requests), granted: credits(GRANTED) }, metered: true },
    QUIET_LIMIT_MS,
  );
  const after = await writes(instance);

  const counts: WriteCounts = {
    objectRows: after.objectRows - before.objectRows,
    alarms: after.alarms - before.alarms,
    d1Rows: after.d1Rows - before.d1Rows,
    d1RowsRead: after.d1RowsRead - before.d1RowsRead,
    statements: Object.fromEntries(
      Object.entries(after.statements).map(([name, rows]) => [name, rows - (before.statements[name] ?? 0)]),
    ),
  };
  if (counts.objectRows < requests || counts.d1Rows === 0)
    throw new Error(`the counters do not count: ${JSON.stringify(counts)}`);
  return { perEvent: (counts.objectRows + counts.alarms + counts.d1Rows) / EVENTS, counts };
}

const writes = async ({ port }: Instance): Promise<WriteCounts> =>
  (await (await fetch(`http://127.0.0.1:${port}/__bench/writes`)).json()) as WriteCounts;
