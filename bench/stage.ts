/** The contenders of the CPU figures, started once and warmed up: the product with a funded customer for each kind of load, and the baselines. */
import { apiOf, grant, publishPrices } from "./api";
import type { Stream } from "./bodies";
import { play, untilIdle, type Contender, type Route } from "./contest";
import type { Bench } from "./figure";
import { freshState, startBaseline, startProduct, type Baseline, type Instance } from "./instance";
import { credits, settled } from "./settled";

const GRANTED = 1_000_000;
const SETTLE_LIMIT_MS = 60_000;
/** Enough for the optimizing compiler to have seen each road. */
const WARM_UP = { full: { track: 2_500, events: 200, read: 3_000 }, quick: { track: 1_500, events: 150, read: 1_500 } };
const EVENT_SPAN_MS = 120_000;

export interface Stage {
  track: Course;
  events: Course;
  read: Course;
}

/** One kind of load, and who runs it. */
export interface Course {
  stream: Stream;
  ours: Contender;
  parse: Contender;
  store: Contender;
  constant: Contender;
}

export const ROUTES: Record<keyof Stage, Route> = {
  track: { method: "POST", path: "/api/v1/track", contentType: "application/json" },
  events: { method: "POST", path: "/api/v1/events", contentType: "application/cloudevents-batch+json" },
  read: { method: "GET", path: "/api/v1/wallets/reader" },
};

/** Distinct ids for each process: a stream repeated would be all duplicates. */
export const newStream = (kind: Stream["kind"], customer: string, batch = 1): Stream => ({
  kind,
  customer,
  run: `${customer}-${process.pid}`,
  batch,
  fromMs: Date.now() - EVENT_SPAN_MS,
  spanMs: EVENT_SPAN_MS,
  cycle: 10_000,
});

let stage: Promise<Stage> | null = null;

export const theStage = (bench: Bench): Promise<Stage> => (stage ??= start(bench));

async function start({ load, quick, progress }: Bench): Promise<Stage> {
  progress("starting the product and three baselines");
  const product = await startProduct(await freshState("product"));
  const baselines = {} as Record<Baseline, Instance>;
  for (const name of ["parse", "store", "constant"] as const)
    baselines[name] = await startBaseline(name, await freshState(name));

  const api = apiOf(product);
  await publishPrices(api);
  const streams: Record<keyof Stage, Stream> = {
    track: newStream("track", "tracker"),
    events: newStream("events", "batcher", 100),
    read: newStream("read", "reader"),
  };
  for (const { customer } of Object.values(streams)) await grant(api, customer, GRANTED);

  const course = (kind: keyof Stage): Course => {
    const stream = streams[kind];
    const baseline = (name: Baseline): Contender => ({
      name: { parse: "B1", store: "B2", constant: "constant" }[name],
      instance: baselines[name],
      route: { ...ROUTES[kind], path: `/${stream.customer}` },
      quiet: untilIdle(baselines[name]),
    });
    const ours: Contender = {
      name: "Tollgate",
      instance: product,
      route: ROUTES[kind],
      quiet: (sent) =>
        settled(
          product,
          { customer: stream.customer, sent: { ...sent, granted: credits(GRANTED) }, metered: kind === "events" },
          SETTLE_LIMIT_MS,
        ),
    };
    return { stream, ours, parse: baseline("parse"), store: baseline("store"), constant: baseline("constant") };
  };
  const made: Stage = { track: course("track"), events: course("events"), read: course("read") };

  for (const [kind, { stream, ours, parse, store, constant }] of Object.entries(made) as [keyof Stage, Course][]) {
    for (const contender of kind === "read" ? [ours, constant] : [ours, parse, store]) {
      progress(`warming up: ${kind}, ${contender.name}`);
      // Not waited for one by one: one wait at the end is enough before anything is measured.
      await play(
        load.send,
        { ...contender, quiet: async () => undefined },
        stream,
        WARM_UP[quick ? "quick" : "full"][kind],
      );
    }
  }
  progress("warming up: until it is quiet");
  for (const { ours } of Object.values(made) as Course[]) await untilIdle(ours.instance)();
  for (const instance of Object.values(baselines)) await untilIdle(instance)();
  return made;
}
