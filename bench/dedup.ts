/**
 * What five million keys cost: memory of the dedup index per key, and the first lookup of an instance that has forgotten all.
 * The index runs alone in an object (dedup-worker.ts) on workerd's SQLite; sending five million events would take ten minutes.
 * The same at a million keys, but of real events sent through the API, is part of long-log.ts.
 */
import { processRssBytes } from "./cpu";
import type { DedupState } from "./dedup-worker";
import { atMost, fixed, median, whole, type Figure } from "./figure";
import { freshState, startDedup, type Instance } from "./instance";

const KEYS_PER_ENTRY = 1_000;
/** Few enough for one call to stay within seconds. */
const ENTRIES_PER_CALL = 250;
const ENTRIES = { full: 5_000, quick: 250 };
const EVICTIONS = { full: 3, quick: 1 };
const BYTES_GOAL = 4;

export const dedup: Figure = {
  name: "dedup",
  promise: "memory of the dedup index per key at 5,000,000 keys, and its first lookup after eviction",
  async measure({ quick, progress }) {
    const size = quick ? "quick" : "full";
    const entries = ENTRIES[size];
    const stateDir = await freshState("dedup");
    const filling = await startDedup(stateDir);
    for (let from = 1; from <= entries; from += ENTRIES_PER_CALL) {
      progress(`dedup index: ${whole(from * KEYS_PER_ENTRY)} of ${whole(entries * KEYS_PER_ENTRY)} keys`);
      await ask(filling, `/fill?object=full&from=${from}&to=${Math.min(from + ENTRIES_PER_CALL, entries + 1)}`);
    }
    await filling.close();

    const wakesMs: number[] = [];
    const grownBytes: number[] = [];
    let state: DedupState = { keys: 0, bytes: 0, found: false };
    for (let eviction = 0; eviction < EVICTIONS[size]; eviction++) {
      progress(`dedup index: after eviction ${eviction + 1}`);
      const instance = await startDedup(stateDir);
      // The Worker and its object class are warm, only this object is not.
      await ask(instance, `/fill?object=warm-${eviction}&from=1&to=2`);
      for (let call = 0; call < 20; call++) await ask(instance, `/state?object=warm-${eviction}&from=1`);
      const rss = processRssBytes(instance.pid);
      const startMs = performance.now();
      state = (await (await ask(instance, `/state?object=full&from=${entries >> 1}`)).json()) as DedupState;
      wakesMs.push(performance.now() - startMs);
      grownBytes.push(processRssBytes(instance.pid) - rss);
      await instance.close();
    }
    if (!state.found || state.keys !== entries * KEYS_PER_ENTRY)
      throw new Error(`the index lost keys: ${JSON.stringify(state)}`);

    const bytesPerKey = state.bytes / state.keys;
    const keys = whole(state.keys);
    return {
      rows: [
        {
          figure: `dedup index, bytes of memory per key at ${keys} keys *`,
          measured: fixed(bytesPerKey),
          goal: `≤ ${BYTES_GOAL}`,
          met: atMost(bytesPerKey, BYTES_GOAL),
          detail: [
            "* the index alone in an object, not through the API",
            `${whole(state.bytes)} bytes by its own count; workerd's resident memory grew by ${whole(median(grownBytes))} bytes (${fixed(median(grownBytes) / state.keys)} a key) at the wake`,
          ],
        },
        {
          figure: `first lookup after eviction at ${keys} keys *, ms`,
          measured: fixed(median(wakesMs), 1),
          goal: "reported",
          met: null,
          detail: [],
        },
      ],
      data: { ...state, wakesMs, grownBytes },
    };
  },
};

async function ask({ port }: Instance, path: string): Promise<Response> {
  const response = await fetch(`http://127.0.0.1:${port}${path}`);
  if (!response.ok) throw new Error(`${path}: ${response.status} ${await response.text()}`);
  return response;
}
