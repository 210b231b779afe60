/** CPU per request against the least that the platform can do: the primary figures. */
import { bodyBytes, CONNECTIONS, describe, hold, ratio, type Contender } from "./contest";
import { atLeast, fixed, type Bench, type Figure, type Measured } from "./figure";
import { theStage, type Course, type Stage } from "./stage";

interface Entry {
  course: keyof Stage;
  figure: string;
  against: "store" | "constant";
  goal: number;
  contenders(course: Course, quick: boolean): Contender[];
  requestsPerSlice: number;
}

const ROUNDS = { full: 5, quick: 1 };
const SLICES = { full: 8, quick: 5 };

/** B1 is there for scale: no goal is made of it. */
const writers = ({ ours, store, parse }: Course, quick: boolean): Contender[] =>
  quick ? [ours, store] : [ours, store, parse];
const readers = ({ ours, constant }: Course): Contender[] => [ours, constant];

async function measure(bench: Bench, entry: Entry): Promise<Measured> {
  const { course: kind, figure, against, goal, contenders, requestsPerSlice } = entry;
  const course = (await theStage(bench))[kind];
  const size = bench.quick ? "quick" : "full";
  const slices = SLICES[size];
  const rounds = await hold(bench, {
    what: figure,
    stream: course.stream,
    contenders: contenders(course, bench.quick),
    rounds: ROUNDS[size],
    slices,
    requestsPerSlice,
  });
  const found = ratio(rounds, course[against].name, course.ours.name);
  const body = course.stream.kind === "read" ? "" : `, bodies of ${bodyBytes(course.stream)} bytes`;
  const each = `rounds of ${slices} × ${requestsPerSlice} requests each, ${CONNECTIONS} connections${body}`;
  return {
    rows: [
      {
        figure: `${figure}: CPU of ${course[against].name} ÷ ours`,
        measured: fixed(found.median),
        goal: `≥ ${goal}`,
        met: atLeast(found.median, goal),
        detail: [
          `${fixed(found.min)}–${fixed(found.max)} in ${ROUNDS[size]} ${each}`,
          ...describe(rounds, course.stream),
        ],
      },
    ],
    data: { ratio: found, rounds },
  };
}

const figure = (name: string, promise: string, entry: Entry): Figure => ({
  name,
  promise,
  measure: (bench) => measure(bench, entry),
});

export const trackCpu = figure("track", "one event, priced and debited, durable before the answer", {
  course: "track",
  figure: "track, one event",
  against: "store",
  goal: 0.7,
  contenders: writers,
  requestsPerSlice: 500,
});

export const eventsCpu = figure("events", "batches of 100 CloudEvents, metered by one meter of 8 groups and debited", {
  course: "events",
  figure: "events, batches of 100, debited",
  against: "store",
  goal: 0.5,
  contenders: writers,
  requestsPerSlice: 125,
});

export const walletCpu = figure("wallet", "wallets.get", {
  course: "read",
  figure: "wallets.get",
  against: "constant",
  goal: 0.8,
  contenders: readers,
  requestsPerSlice: 700,
});
