/**
 * What the benchmark sends, as a function of (stream, request number): the load process makes the bodies and the main process
 * knows, without asking it, what they add up to. Prices are those of BURN_TABLE; sums are exact.
 */

/** Two dimensions, any feature and model: every track and every event below is debited. */
export const BURN_TABLE = {
  key: "bench",
  currency: "CREDITS",
  default: true,
  // Prices are those of the event's time, and batched events carry times before the run.
  effectiveFrom: "1970-01-01T00:00:00Z",
  rules: [
    { dimension: "inputTokens", rate: "2.50", per: 1_000_000 },
    { dimension: "outputTokens", rate: "10.00", per: 1_000_000 },
  ],
};
/** In units of 10⁻¹² credits. */
const INPUT_TOKEN_COST = 2_500_000n;
const OUTPUT_TOKEN_COST = 10_000_000n;

/** The seeded meter `tokens_total` sums `$.tokens` of these by model and type: here eight group combinations. */
const METERED_TYPE = "prompt";
const MODELS = ["gpt-4.1", "gpt-4.1-mini", "claude-sonnet-4-5", "mistral-large-2"];
const TYPES = ["input", "output"];

/** `track`: one event, debited. `track-metered`: and metered. `events`: `batch` CloudEvents, debited and metered. `read` has no body. */
export interface Stream {
  kind: "track" | "track-metered" | "events" | "read";
  customer: string;
  /** Makes ids unique: two streams of one customer have different runs. */
  run: string;
  batch: number;
  /** Times of batched events run from here over `spanMs`, in the order of their numbers modulo `cycle`. */
  fromMs: number;
  spanMs: number;
  cycle: number;
}

export interface Sums {
  events: number;
  tokens: bigint;
  /** In units of 10⁻¹² credits. */
  cost: bigint;
}

/** Multiplied by primes: neighbours differ, all digits occur, nothing repeats within a batch. */
const inputTokens = (event: number): number => 100 + ((event * 7_919) % 2_003);
const outputTokens = (event: number): number => 10 + ((event * 10_007) % 499);
const pick = <T>(from: readonly T[], event: number): T => from[event % from.length]!;

export function bodyOf(stream: Stream, request: number): string {
  const { kind, customer, run, batch } = stream;
  if (kind === "events") {
    return JSON.stringify(Array.from({ length: batch }, (_, place) => cloudEvent(stream, request * batch + place)));
  }
  const { usage, tokens, model, type } = contentOf(request);
  const id = `${run}-${request}`;
  return JSON.stringify(
    kind === "track"
      ? { customer, feature: "chat", usage, id }
      : { customer, feature: METERED_TYPE, model, usage, id, metadata: { tokens, type } },
  );
}

function contentOf(event: number) {
  const usage = { inputTokens: inputTokens(event), outputTokens: outputTokens(event) };
  return {
    tokens: usage.inputTokens + usage.outputTokens,
    model: pick(MODELS, event),
    type: pick(TYPES, event >> 2),
    usage,
  };
}

function cloudEvent({ customer, run, fromMs, spanMs, cycle }: Stream, event: number) {
  return {
    specversion: "1.0",
    id: `${run}-${event}`,
    source: "bench",
    type: METERED_TYPE,
    subject: customer,
    time: new Date(fromMs + Math.floor(((event % cycle) / cycle) * spanMs)).toISOString(),
    data: contentOf(event),
  };
}

/** What the requests [from, to) of a stream add up to. */
export function sumsOf(stream: Stream, from: number, to: number): Sums {
  const sums: Sums = { events: 0, tokens: 0n, cost: 0n };
  if (stream.kind === "read") return sums;
  for (let event = from * stream.batch; event < to * stream.batch; event++) {
    const input = BigInt(inputTokens(event));
    const output = BigInt(outputTokens(event));
    sums.events++;
    sums.tokens += input + output;
    sums.cost += input * INPUT_TOKEN_COST + output * OUTPUT_TOKEN_COST;
  }
  return sums;
}
