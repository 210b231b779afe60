/**
 * Subject and baselines side by side: short slices of the same requests to each in turn (A B C A B C …), so that whatever the
 * machine does meanwhile happens to all of them. A round is a number of such turns and the wait until all are quiet; the CPU of a
 * contender in a round is all that its process used until then, whenever it did the work.
 */
import { AUTHORIZATION } from "./api";
import { bodyOf, sumsOf, type Stream, type Sums } from "./bodies";
import { processCpuMs } from "./cpu";
import { fixed, median, whole, type Bench } from "./figure";
import type { Instance } from "./instance";
import type { LoadPlan, LoadResult } from "./load";
import { idle } from "./settled";

export const CONNECTIONS = 16;
const LIMIT_MS = 120_000;

/** How a contender is asked. */
export interface Route {
  method: LoadPlan["method"];
  path: string;
  contentType?: string;
  /** Default: the seeded key. */
  authorization?: string;
}

export interface Contender {
  name: string;
  instance: Instance;
  route: Route;
  /** Waits until what it was sent is finished. Told everything it was ever sent of the stream. */
  quiet(sent: Sums): Promise<void>;
}

export interface Contest {
  what: string;
  stream: Stream;
  contenders: Contender[];
  rounds: number;
  /** Turns of a round. */
  slices: number;
  requestsPerSlice: number;
}

export interface Round {
  /** Of the contender's workerd, from the first request until it was quiet. */
  cpuMs: number;
  requests: number;
  slices: LoadResult[];
}

/** By contender. */
export type Rounds = Record<string, Round[]>;

/** Where each contender has got to in each stream: an id that came again would be a duplicate. */
const positions = new Map<string, number>();

const positionOf = ({ name }: Contender, stream: Stream): number => positions.get(`${name} ${stream.run}`) ?? 0;

export async function hold({ load, progress }: Bench, contest: Contest): Promise<Rounds> {
  const { what, stream, contenders, rounds, slices, requestsPerSlice } = contest;
  const measured: Rounds = Object.fromEntries(contenders.map(({ name }) => [name, []]));
  for (let number = 1; number <= rounds; number++) {
    progress(`${what}: round ${number} of ${rounds}`);
    const round = contenders.map((contender) => ({
      contender,
      cpuBeforeMs: processCpuMs(contender.instance.pid),
      slices: [] as LoadResult[],
    }));
    for (let slice = 0; slice < slices; slice++) {
      // Each turn begins with another contender: what one leaves running is not always the same neighbour's.
      for (let turn = 0; turn < round.length; turn++) {
        const played = round[(slice + turn) % round.length]!;
        played.slices.push(await play(load.send, played.contender, stream, requestsPerSlice));
      }
    }
    progress(`${what}: round ${number} of ${rounds}, until all are quiet`);
    for (const { contender, cpuBeforeMs, slices: results } of round) {
      await contender.quiet(sumsOf(stream, 0, positionOf(contender, stream)));
      const cpuMs = processCpuMs(contender.instance.pid) - cpuBeforeMs;
      measured[contender.name]!.push({ cpuMs, requests: slices * requestsPerSlice, slices: results });
    }
  }
  return measured;
}

/** Sends the next requests of the stream, and does not wait for what follows from them. */
export async function play(
  send: Bench["load"]["send"],
  contender: Contender,
  stream: Stream,
  count: number,
): Promise<LoadResult> {
  const offset = positionOf(contender, stream);
  positions.set(`${contender.name} ${stream.run}`, offset + count);
  return send(planOf(contender.instance, contender.route, stream, offset, count));
}

export const planOf = (
  { port }: Instance,
  { method, path, contentType, authorization = AUTHORIZATION }: Route,
  stream: Stream,
  offset: number,
  count: number,
): LoadPlan => ({
  port,
  method,
  path,
  headers: { authorization, ...(contentType && { "content-type": contentType }) },
  stream,
  offset,
  count,
  connections: CONNECTIONS,
  limitMs: LIMIT_MS,
});

/** A baseline has nothing left to do that could be told from its storage. */
export const untilIdle = (instance: Instance) => () => idle(instance, LIMIT_MS);

const cpuUs = ({ cpuMs, requests }: Round): number => (cpuMs / requests) * 1_000;

/** CPU of the baseline per request ÷ CPU of the subject: the median of the rounds, and their ends. */
export function ratio(rounds: Rounds, baseline: string, subject: string): { median: number; min: number; max: number } {
  const ratios = rounds[subject]!.map((round, index) => cpuUs(rounds[baseline]![index]!) / cpuUs(round));
  return { median: median(ratios), min: Math.min(...ratios), max: Math.max(...ratios) };
}

/** A line for each contender. */
export function describe(rounds: Rounds, stream: Stream): string[] {
  return Object.entries(rounds).map(([name, played]) => {
    const us = played.map(cpuUs);
    const slices = played.flatMap((round) => round.slices);
    const over = (what: (slice: LoadResult) => number) => median(slices.map(what));
    const events = stream.batch > 1 ? ` = ${fixed(median(us) / stream.batch, 1)} an event` : "";
    return (
      `${name}: ${whole(median(us))} µs CPU a request (${whole(Math.min(...us))}–${whole(Math.max(...us))})${events}, ` +
      `${whole(over(({ count, wallMs }) => (count / wallMs) * 1_000))} requests/s, ` +
      `p50 ${fixed(
        over(({ p50Ms }) => p50Ms),
        1,
      )} ms, p99 ${fixed(
        over(({ p99Ms }) => p99Ms),
        1,
      )} ms; ` +
      `client ${whole(over(({ clientCpuMs, count }) => (clientCpuMs / count) * 1_000))} µs`
    );
  });
}

export const bodyBytes = (stream: Stream): number => Buffer.byteLength(bodyOf(stream, 0));
