/**
 * What meters cost at ingest: five meters of two group-bys each against the least that the platform can do, twenty on one event type
 * against one, and the rows that are written. Events are metered only: no burn table prices them.
 */
import type { Stream } from "./bodies";
import { CONNECTIONS, describe, hold, ratio, untilIdle, type Contender } from "./contest";
import { processCpuMs } from "./cpu";
import { atLeast, atMost, fixed, median, whole, type Bench, type Figure, type Measured } from "./figure";
import { freshState, startBaseline, startInstrumented, startProduct, type Instance } from "./instance";
import { counted, newNamespace, planIn, someMeters, type Namespace } from "./namespace";
import { newStream, ROUTES } from "./stage";
import type { WriteCounts } from "./subject";

const BATCH = 100;
const LIMIT_MS = 120_000;
const GOALS = { five: 0.4, twenty: 2.5, rows: 0.25 };
const FIVE = { rounds: { full: 5, quick: 1 }, slices: { full: 8, quick: 4 }, requestsPerSlice: 125, warmUp: 150 };
const TWENTY = { rounds: { full: 5, quick: 2 }, requests: { full: 500, quick: 200 }, warmUp: 150 };
const COUNTED_REQUESTS = 100;

export const fiveMeters: Figure = {
  name: "meters",
  promise: "batches of 100 with five meters of two group-bys each, against the bare store; row writes per event",
  async measure(bench) {
    const cpu = await againstStore(bench);
    const writes = await rows(bench);
    return { rows: [...cpu.rows, ...writes.rows], data: { cpu: cpu.data, writes: writes.data } };
  },
};

async function againstStore(bench: Bench): Promise<Measured> {
  const { load, quick, progress } = bench;
  const size = quick ? "quick" : "full";
  const product = await startProduct(await freshState("five-meters"));
  const store = await startBaseline("store", await freshState("five-meters-store"));
  const namespace = await newNamespace(product, "five", someMeters(5));
  const stream = newStream("events", "metered", BATCH);
  const ours: Contender = {
    name: "Tollgate",
    instance: product,
    route: { ...ROUTES.events, authorization: namespace.authorization },
    quiet: ({ events }) => counted(product, namespace, events, LIMIT_MS),
  };
  const baseline: Contender = {
    name: "B2",
    instance: store,
    route: { ...ROUTES.events, path: `/${stream.customer}` },
    quiet: untilIdle(store),
  };
  const warm = { ...stream, run: `${stream.run}-warm`, customer: "warm" };
  for (const { instance, route } of [ours, baseline]) {
    progress("five meters: warming up");
    await load.send(planIn(namespace, instance, route, warm, 0, FIVE.warmUp));
  }
  const before = FIVE.warmUp * BATCH;
  const quiet = ours.quiet;
  ours.quiet = (sent) => quiet({ ...sent, events: sent.events + before });
  const rounds = await hold(bench, {
    what: "events of 100, five meters",
    stream,
    contenders: [ours, baseline],
    rounds: FIVE.rounds[size],
    slices: FIVE.slices[size],
    requestsPerSlice: FIVE.requestsPerSlice,
  });
  await product.close();
  await store.close();
  const found = ratio(rounds, "B2", "Tollgate");
  return {
    rows: [
      {
        figure: "events, batches of 100, five meters of two group-bys: CPU of B2 ÷ ours",
        measured: fixed(found.median),
        goal: `≥ ${GOALS.five}`,
        met: atLeast(found.median, GOALS.five),
        detail: [
          `${fixed(found.min)}–${fixed(found.max)} in ${FIVE.rounds[size]} rounds of ${FIVE.slices[size]} × ${FIVE.requestsPerSlice} requests each, ${CONNECTIONS} connections`,
          ...describe(rounds, stream),
        ],
      },
    ],
    data: { ratio: found, rounds },
  };
}

async function rows({ load, progress }: Bench): Promise<Measured> {
  progress("five meters: row writes");
  const stateDir = await freshState("five-meters-counted");
  const made = await startProduct(stateDir);
  const namespace = await newNamespace(made, "counted", someMeters(5));
  const beginning = newStream("events", "counted", BATCH);
  // The customer exists and is known to D1 before anything is counted.
  await load.send(planIn(namespace, made, ROUTES.events, { ...beginning, run: `${beginning.run}-first` }, 0, 1));
  await counted(made, namespace, BATCH, LIMIT_MS);
  await made.close();

  const instance = await startInstrumented(stateDir, { counted: true });
  const before = await writesOf(instance);
  await load.send(planIn(namespace, instance, ROUTES.events, beginning, 0, COUNTED_REQUESTS));
  await counted(instance, namespace, (COUNTED_REQUESTS + 1) * BATCH, LIMIT_MS);
  const after = await writesOf(instance);
  await instance.close();
  const events = COUNTED_REQUESTS * BATCH;
  const objectRows = after.objectRows - before.objectRows;
  const alarms = after.alarms - before.alarms;
  const d1Rows = after.d1Rows - before.d1Rows;
  if (objectRows < COUNTED_REQUESTS || d1Rows === 0) throw new Error("the counters do not count");
  const perEvent = (objectRows + alarms + d1Rows) / events;
  return {
    rows: [
      {
        figure: "row writes per event: batches of 100, five meters of two group-bys",
        measured: fixed(perEvent, 4),
        goal: `≤ ${GOALS.rows}`,
        met: atMost(perEvent, GOALS.rows),
        detail: [
          `${whole(events)} events of two minutes in eight groups: ${whole(objectRows)} rows of objects, ${whole(alarms)} alarms, ${whole(d1Rows)} rows of D1`,
        ],
      },
    ],
    data: { events, objectRows, alarms, d1Rows, perEvent },
  };
}

const writesOf = async ({ port }: Instance): Promise<WriteCounts> =>
  (await (await fetch(`http://127.0.0.1:${port}/__bench/writes`)).json()) as WriteCounts;

export const twentyMeters: Figure = {
  name: "twenty",
  promise: "ingest with twenty meters on one event type ÷ with one, CPU per event",
  async measure({ load, quick, progress }) {
    const size = quick ? "quick" : "full";
    const instance = await startProduct(await freshState("twenty-meters"));
    const sides = await Promise.all(
      [1, 20].map(async (meters): Promise<Side> => {
        const namespace = await newNamespace(instance, `meters-${meters}`, someMeters(meters));
        return { namespace, stream: newStream("events", `with-${meters}`, BATCH), sent: 0, cpuUs: [] };
      }),
    );
    const requests = TWENTY.requests[size];
    // The first round is not counted: it compiles both roads.
    for (let round = 0; round <= TWENTY.rounds[size]; round++) {
      for (const side of sides) {
        progress(`twenty meters: round ${round} of ${TWENTY.rounds[size]}, ${side.stream.customer}`);
        const cpuBefore = processCpuMs(instance.pid);
        const count = round === 0 ? TWENTY.warmUp : requests;
        await load.send(planIn(side.namespace, instance, ROUTES.events, side.stream, side.sent, count));
        side.sent += count;
        await counted(instance, side.namespace, side.sent * BATCH, LIMIT_MS);
        const cpuUs = ((processCpuMs(instance.pid) - cpuBefore) * 1_000) / (count * BATCH);
        if (round > 0) side.cpuUs.push(cpuUs);
      }
    }
    await instance.close();
    const [one, twenty] = sides as [Side, Side];
    const ratios = twenty.cpuUs.map((us, round) => us / one.cpuUs[round]!);
    const found = median(ratios);
    return {
      rows: [
        {
          figure: "ingest with 20 meters on one event type ÷ with 1, CPU per event",
          measured: fixed(found),
          goal: `≤ ${GOALS.twenty}`,
          met: atMost(found, GOALS.twenty),
          detail: [
            `${fixed(Math.min(...ratios))}–${fixed(Math.max(...ratios))}; ${fixed(median(twenty.cpuUs), 1)} µs an event against ${fixed(median(one.cpuUs), 1)}, batches of ${BATCH}, folding, checkpoints, shipping and D1 included`,
          ],
        },
      ],
      data: { one: one.cpuUs, twenty: twenty.cpuUs },
    };
  },
};

interface Side {
  namespace: Namespace;
  stream: Stream;
  sent: number;
  cpuUs: number[];
}
