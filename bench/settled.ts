/**
 * Waits until nothing of what was sent is still under way: the projections in D1 add up to exactly what was sent and to what the
 * customer's object says, and the process has nothing left to do. A subject that only looked fast fails here.
 */
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { setTimeout as delay } from "node:timers/promises";
import { processCpuMs } from "./cpu";
import type { Instance } from "./instance";
import { apiOf } from "./api";
import type { Sums } from "./bodies";

const POLL_MS = 250;
/** Idle: this many pauses of this length with at most one tick of CPU. Longer than the object waits before it does chores. */
const IDLE_PAUSES = 4;
const IDLE_PAUSE_MS = 250;
const IDLE_CPU_MS = 10;

/** What one customer has been sent so far, and was granted. */
export interface Sent extends Sums {
  /** In units of 10⁻¹² credits. */
  granted: bigint;
}

export interface Expected {
  customer: string;
  sent: Sent;
  /** Whether the events meet the meter `tokens_total`. */
  metered: boolean;
}

interface Totals {
  events: number;
  balance: string;
  minutes: string | null;
  quarters: string | null;
}

/** Two independent roads to the same number: rollups of a minute and of 15. A sum of integers below 2⁵³ is exact. */
const TOTALS = `
  SELECT o.event_count AS events, w.balance AS balance,
    (SELECT CAST(sum(CAST(r.sum AS INTEGER)) AS TEXT) FROM rollups r
      WHERE r.namespace_id = o.namespace_id AND r.object = o.name AND r.resolution = 'minute') AS minutes,
    (SELECT CAST(sum(CAST(r.sum AS INTEGER)) AS TEXT) FROM rollups r
      WHERE r.namespace_id = o.namespace_id AND r.object = o.name AND r.resolution = 'quarter') AS quarters
  FROM objects o JOIN wallets w ON w.namespace_id = o.namespace_id AND w.customer_id = o.customer_id
  WHERE o.customer_key = ?`;

/** Throws when that is not so within the limit, and says what is missing. */
export async function settled(instance: Instance, expected: Expected, limitMs: number): Promise<void> {
  await landed(instance, expected, limitMs);
  await idle(instance, limitMs);
  const { balance } = await apiOf(instance).get<{ balance: string }>(`/api/v1/wallets/${expected.customer}`);
  const wanted = totalsOf(expected).balance;
  if (balance !== wanted)
    throw new Error(`the object of ${expected.customer} has a balance of ${balance}, not ${wanted}`);
}

/** Waits for the projections alone. Reads D1's file beside workerd: asked through workerd, each look would cost it 5 ms of CPU. */
export async function landed(instance: Instance, expected: Expected, limitMs: number): Promise<void> {
  using db = new DatabaseSync(d1File(instance), { readOnly: true });
  const totals = db.prepare(TOTALS);
  const deadline = performance.now() + limitMs;
  const wanted = totalsOf(expected);
  for (;;) {
    await delay(POLL_MS);
    const found = totals.get(expected.customer) as Totals | undefined;
    if (found !== undefined && isSame(found, wanted)) return;
    if (performance.now() > deadline) {
      const dead = db.prepare("SELECT count(*) AS messages, max(reason) AS reason FROM dead_letters").get();
      throw new Error(
        `D1 has ${JSON.stringify(found)} of ${expected.customer} after ${limitMs} ms; sent: ${JSON.stringify(wanted)}; ` +
          `dead letters: ${JSON.stringify(dead)}`,
      );
    }
  }
}

function d1File({ stateDir }: Instance): string {
  const directory = join(stateDir, "d1", "miniflare-D1DatabaseObject");
  const [file, ...others] = readdirSync(directory).filter((name) => /^[0-9a-f]{64}\.sqlite$/.test(name));
  if (file === undefined || others.length > 0) throw new Error(`cannot tell which file in ${directory} is D1's`);
  return join(directory, file);
}

/** Waits until the process does nothing. */
export async function idle({ pid }: Instance, limitMs: number): Promise<void> {
  const deadline = performance.now() + limitMs;
  for (let pauses = 0, before = processCpuMs(pid); pauses < IDLE_PAUSES;) {
    await delay(IDLE_PAUSE_MS);
    const now = processCpuMs(pid);
    pauses = now - before <= IDLE_CPU_MS ? pauses + 1 : 0;
    before = now;
    if (performance.now() > deadline) throw new Error(`still busy after ${limitMs} ms with nothing to do`);
  }
}

function totalsOf({ sent, metered }: Expected): Totals {
  const tokens = metered && sent.tokens > 0n ? String(sent.tokens) : null;
  return { events: sent.events, balance: formatCredits(sent.granted - sent.cost), minutes: tokens, quarters: tokens };
}

const isSame = (found: Totals, wanted: Totals): boolean =>
  (Object.keys(wanted) as (keyof Totals)[]).every((key) => found[key] === wanted[key]);

const CREDIT = 1_000_000_000_000n;

/** Canonical decimal text, written anew so that the check shares no code with what it checks. */
function formatCredits(amount: bigint): string {
  const digits = String(amount < 0n ? -amount : amount).padStart(13, "0");
  const fraction = digits.slice(-12).replace(/0+$/, "");
  return `${amount < 0n ? "-" : ""}${digits.slice(0, -12)}${fraction === "" ? "" : `.${fraction}`}`;
}

export const credits = (whole: number): bigint => BigInt(whole) * CREDIT;
