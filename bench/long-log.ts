/**
 * Whether a long history makes a customer slow: the latency of `track` with a million events in the log against a thousand, in
 * rounds that alternate; the rows that the log then has; what its dedup index holds in memory; the first request after eviction.
 * All events come through the API, in batches of 1,000.
 */
import { apiOf, AUTHORIZATION, grant, publishPrices } from "./api";
import { bodyOf, sumsOf, type Stream, type Sums } from "./bodies";
import { planOf } from "./contest";
import { atMost, fixed, median, whole, type Bench, type Figure, type Row } from "./figure";
import { freshState, startInstrumented, startProduct, type Instance } from "./instance";
import type { LoadResult } from "./load";
import { credits, idle, settled } from "./settled";
import { newStream, ROUTES } from "./stage";
import type { Inside } from "./subject";

const BATCH = 1_000;
const BATCHES = { full: 1_000, quick: 50 };
const BATCHES_SHORT = 1;
/** A call's latency, not a queue's. */
const CONNECTIONS = 1;
const ROUNDS = { full: 10, quick: 4 };
const TRACKS_PER_ROUND = { full: 300, quick: 150 };
const EVICTIONS = { full: 3, quick: 1 };
const GRANTED = 10_000_000;
const INGEST_CONNECTIONS = 4;
const LIMIT_MS = 300_000;
const GOALS = { latency: 1.2, logRows: 200, bytesPerKey: 4 };

export const longLog: Figure = {
  name: "log",
  promise: "track with 1,000,000 events in the log ÷ with 1,000; rows of the log; dedup memory; waking up",
  slow: true,
  async measure(bench) {
    const { quick, progress, load } = bench;
    const size = quick ? "quick" : "full";
    const stateDir = await freshState("long-log");
    const filling = await startProduct(stateDir);
    await publishPrices(apiOf(filling));
    const long = newStream("events", "long", BATCH);
    const short = newStream("events", "short", BATCH);
    const spare = newStream("events", "spare", BATCH);
    const ingest = await fill(bench, filling, long, BATCHES[size]);
    await fill(bench, filling, short, BATCHES_SHORT);
    await fill(bench, filling, spare, BATCHES_SHORT);
    await filling.close();

    progress("long log: looking inside");
    const counted = await startInstrumented(stateDir, { counted: true });
    const inside = await look(counted, long.customer);
    await counted.close();

    const wakes = { long: [] as number[], short: [] as number[] };
    let instance: Instance;
    for (let eviction = 1; ; eviction++) {
      progress(`long log: after eviction ${eviction}`);
      instance = await startProduct(stateDir);
      await warm(instance, spare.customer);
      wakes.short.push(await firstTrack(instance, short.customer));
      wakes.long.push(await firstTrack(instance, long.customer));
      if (eviction === EVICTIONS[size]) break;
      await instance.close();
    }

    const tracks = { long: newStream("track", long.customer), short: newStream("track", short.customer) };
    const rounds = { long: [] as LoadResult[], short: [] as LoadResult[] };
    const count = TRACKS_PER_ROUND[size];
    // One round before the first that counts: both roads compiled, both objects awake.
    for (let round = 0; round <= ROUNDS[size]; round++) {
      for (const name of ["long", "short"] as const) {
        progress(`long log: round ${round} of ${ROUNDS[size]}, ${name}`);
        const played = await load.send({
          ...planOf(instance, ROUTES.track, tracks[name], round * count, count),
          connections: CONNECTIONS,
        });
        if (round > 0) rounds[name].push(played);
      }
    }
    await idle(instance, LIMIT_MS);
    await instance.close();

    const events = BATCH * BATCHES[size];
    const p50 = of(rounds, ({ p50Ms }) => p50Ms);
    const p99 = of(rounds, ({ p99Ms }) => p99Ms);
    const bytesPerKey = inside.dedupBytes / inside.dedupKeys;
    const label = `with ${whole(events)} events in the log`;
    const rows: Row[] = [
      {
        figure: `track p50 ${label} ÷ with ${whole(BATCH * BATCHES_SHORT)}`,
        measured: fixed(p50.ratio),
        goal: `≤ ${GOALS.latency}`,
        met: atMost(p50.ratio, GOALS.latency),
        detail: [
          `${fixed(p50.long)} ms against ${fixed(p50.short)} ms, medians of ${ROUNDS[size]} rounds of ${count} tracks on one connection`,
          `the events came at ${whole((events / ingest.wallMs) * 1_000)} a second, and everything was quiet and equal ${fixed(ingest.quietMs / 1_000, 1)} s after the last answer`,
        ],
      },
      {
        figure: "the same, p99",
        measured: fixed(p99.ratio),
        goal: "reported",
        met: null,
        detail: [`${fixed(p99.long)} ms against ${fixed(p99.short)} ms`],
      },
      {
        figure: `rows of the log ${label}`,
        measured: whole(inside.logRows),
        goal: `≤ ${GOALS.logRows}`,
        met: atMost(inside.logRows, GOALS.logRows),
        detail: [],
      },
      {
        figure: `dedup index, bytes of memory per key at ${whole(inside.dedupKeys)} keys`,
        measured: fixed(bytesPerKey),
        goal: `≤ ${GOALS.bytesPerKey}`,
        met: atMost(bytesPerKey, GOALS.bytesPerKey),
        detail: [`${whole(inside.dedupBytes)} bytes by its own count`],
      },
      {
        figure: `first request after eviction, ms, ${label}`,
        measured: fixed(median(wakes.long), 1),
        goal: "reported",
        met: null,
        detail: [
          `a track; ${fixed(median(wakes.short), 1)} ms with ${whole(BATCH * BATCHES_SHORT)} events; medians of ${EVICTIONS[size]} restarts`,
        ],
      },
    ];
    return { rows, data: { events, ingest, inside, wakes, rounds } };
  },
};

async function fill({ load, progress }: Bench, instance: Instance, stream: Stream, batches: number) {
  progress(`long log: sending ${whole(batches * BATCH)} events for ${stream.customer}`);
  await grant(apiOf(instance), stream.customer, GRANTED);
  const { wallMs } = await load.send({
    ...planOf(instance, ROUTES.events, stream, 0, batches),
    connections: INGEST_CONNECTIONS,
    limitMs: LIMIT_MS,
  });
  const startMs = performance.now();
  progress(`long log: waiting until ${stream.customer} is quiet`);
  const sent: Sums = sumsOf(stream, 0, batches);
  await settled(
    instance,
    { customer: stream.customer, sent: { ...sent, granted: credits(GRANTED) }, metered: true },
    LIMIT_MS,
  );
  return { wallMs, quietMs: performance.now() - startMs };
}

async function look(instance: Instance, customer: string): Promise<Inside> {
  const db = (await instance.miniflare.getD1Database("DB")) as unknown as D1Database;
  const name = await db.prepare("SELECT name FROM objects WHERE customer_key = ?").bind(customer).first<string>("name");
  // The object's first call brings it its configuration.
  await apiOf(instance).get(`/api/v1/wallets/${customer}`);
  return (await (
    await fetch(`http://127.0.0.1:${instance.port}/__bench/inside?object=${encodeURIComponent(name ?? "")}`)
  ).json()) as Inside;
}

/** The Worker's code, the key's cache and the connection are warm, and another object has woken; only the one to be asked has not. */
async function warm(instance: Instance, spare: string): Promise<void> {
  await firstTrack(instance, spare);
  const stream = newStream("track", spare);
  for (let request = 0; request < 50; request++)
    await track(instance, { ...stream, run: `${stream.run}-${Date.now()}` }, request);
}

async function firstTrack(instance: Instance, customer: string): Promise<number> {
  const stream = newStream("track", customer);
  const startMs = performance.now();
  await track(instance, { ...stream, run: `${stream.run}-first-${Date.now()}` }, 0);
  return performance.now() - startMs;
}

async function track({ port }: Instance, stream: Stream, request: number): Promise<void> {
  const response = await fetch(`http://127.0.0.1:${port}${ROUTES.track.path}`, {
    method: "POST",
    headers: { authorization: AUTHORIZATION, "content-type": "application/json" },
    body: bodyOf(stream, request),
  });
  const text = await response.text();
  if (!response.ok) throw new Error(`track: ${response.status} ${text}`);
}

function of(rounds: { long: LoadResult[]; short: LoadResult[] }, what: (round: LoadResult) => number) {
  const ratios = rounds.long.map((round, index) => what(round) / what(rounds.short[index]!));
  return { ratio: median(ratios), long: median(rounds.long.map(what)), short: median(rounds.short.map(what)) };
}
