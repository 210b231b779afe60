/**
 * Subject and baselines side by side: the same requests to each in turn, round after round (A B C A B C …), so that whatever the
 * machine does meanwhile happens to all of them. A round's CPU counts until the contender is quiet again.
 */
import { bodyOf, sumsOf, type Stream, type Sums } from "./bodies";
import { AUTHORIZATION } from "./api";
import { processCpuMs } from "./cpu";
import { fixed, median, whole, type Bench } from "./figure";
import type { Instance } from "./instance";
import type { LoadPlan, LoadResult } from "./load";
import { idle } from "./settled";

export const CONNECTIONS = 16;
const ROUND_LIMIT_MS = 120_000;

/** How a contender is asked. */
export interface Route {
  method: LoadPlan["method"];
  path: string;
  contentType?: string;
}

export interface Contender {
  name: string;
  instance: Instance;
  route: Route;
  /** Waits until what it was sent is finished. Told everything it was sent from this stream. */
  quiet(sent: Sums): Promise<void>;
}

export interface Contest {
  what: string;
  stream: Stream;
  contenders: Contender[];
  requestsPerRound: number;
  rounds: number;
}

export interface Round extends LoadResult {
  /** Of the contender's workerd, from the first request until it was quiet. */
  cpuMs: number;
}

/** By contender. */
export type Rounds = Record<string, Round[]>;

/** Where each stream has got to: rounds go on where the last stopped, and so do contests of the same stream. */
const positions = new Map<string, number>();

export async function hold(
  { load, progress }: Bench,
  { what, stream, contenders, requestsPerRound, rounds }: Contest,
): Promise<Rounds> {
  const measured: Rounds = Object.fromEntries(contenders.map(({ name }) => [name, []]));
  for (let round = 1; round <= rounds; round++) {
    for (const contender of contenders) {
      progress(`${what}: round ${round} of ${rounds}, ${contender.name}`);
      measured[contender.name]!.push(await play(load.send, contender, stream, requestsPerRound));
    }
  }
  return measured;
}

export async function play(
  send: Bench["load"]["send"],
  { name, instance, route, quiet }: Contender,
  stream: Stream,
  count: number,
): Promise<Round> {
  const position = `${name} ${stream.customer} ${stream.run}`;
  const offset = positions.get(position) ?? 0;
  positions.set(position, offset + count);
  const before = processCpuMs(instance.pid);
  const result = await send(planOf(instance, route, stream, offset, count));
  await quiet(sumsOf(stream, 0, offset + count));
  return { ...result, cpuMs: processCpuMs(instance.pid) - before };
}

export const planOf = (
  { port }: Instance,
  { method, path, contentType }: Route,
  stream: Stream,
  offset: number,
  count: number,
): LoadPlan => ({
  port,
  method,
  path,
  headers: { authorization: AUTHORIZATION, ...(contentType && { "content-type": contentType }) },
  stream,
  offset,
  count,
  connections: CONNECTIONS,
  limitMs: ROUND_LIMIT_MS,
});

/** A baseline has nothing left to do that could be told from its storage. */
export const untilIdle = (instance: Instance) => () => idle(instance, ROUND_LIMIT_MS);

const cpuMsPerRequest = ({ cpuMs, count }: Round): number => cpuMs / count;

/** CPU of the baseline per request ÷ CPU of the subject, of rounds that were neighbours: the median and the ends. */
export function ratio(rounds: Rounds, baseline: string, subject: string): { median: number; min: number; max: number } {
  const ratios = rounds[subject]!.map(
    (round, index) => cpuMsPerRequest(rounds[baseline]![index]!) / cpuMsPerRequest(round),
  );
  return { median: median(ratios), min: Math.min(...ratios), max: Math.max(...ratios) };
}

/** A line for each contender. */
export function describe(rounds: Rounds, stream: Stream): string[] {
  return Object.entries(rounds).map(([name, played]) => {
    const cpuUs = played.map((round) => cpuMsPerRequest(round) * 1_000);
    const rates = played.map(({ count, wallMs }) => (count / wallMs) * 1_000);
    const clientUs = played.map(({ clientCpuMs, count }) => (clientCpuMs / count) * 1_000);
    const p50Ms = median(played.map((round) => round.p50Ms));
    const p99Ms = median(played.map((round) => round.p99Ms));
    const events = stream.batch > 1 ? ` = ${fixed(median(cpuUs) / stream.batch, 1)} an event` : "";
    return (
      `${name}: ${whole(median(cpuUs))} µs CPU a request (${whole(Math.min(...cpuUs))}–${whole(Math.max(...cpuUs))})${events}, ` +
      `${whole(median(rates))} requests/s, p50 ${fixed(p50Ms, 1)} ms, p99 ${fixed(p99Ms, 1)} ms; client ${whole(median(clientUs))} µs`
    );
  });
}

export const bodyBytes = (stream: Stream): number => Buffer.byteLength(bodyOf(stream, 0));
