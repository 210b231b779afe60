/**
 * Tells the shared store that what was counted here is counted in the home now: every window this object ever had, as an empty one under
 * its last version. Running totals like any others, so an older message that comes late brings nothing back. The object stands still, so
 * this goes chunk by chunk behind a position that is stored; after a crash a chunk may be told twice. Read only but for that position.
 */
import type { Account } from "../core/account";
import type { CompiledMeters } from "../core/meter";
import { emptyRollups, MINUTE_RETENTION_MS, type RollupRow } from "../core/rollup";
import type { RatingMessage } from "../schema/messages";
import type { AccountStore } from "./account-store";
import { ratingMessages } from "./outbox";

/** Rollups sent at once: about two full messages. */
const ROWS_PER_SEND = 800;
const CHUNKS_PER_LOOK = 100;
const ALL = "all";
/** An object without data waits for no meter to be folded. */
export const FOLDED_FOR_EVER = Number.MAX_SAFE_INTEGER;

type Position = [meter: string, hour: number];

export class Farewell {
  private told: boolean | null = null;

  constructor(
    private readonly store: AccountStore,
    private readonly sql: SqlStorage,
  ) {}

  /** The store has been told all of it, as far as the queue promises. */
  get isTold(): boolean {
    return (this.told ??= this.store.state.read("told") === ALL);
  }

  /** Tells of up to `chunks` chunks. True: all of it is told. */
  async tell(
    account: Account,
    meters: CompiledMeters,
    send: (messages: RatingMessage[]) => Promise<void>,
    now: number,
    chunks: number,
  ): Promise<boolean> {
    if (this.isTold) return true;
    const say = (rows: RollupRow[]) => send(ratingMessages(account, rows, now, FOLDED_FOR_EVER));
    // What is only in memory has no place in the order of the chunks.
    this.store.checkpoint();
    for (let left = chunks; left > 0; left -= CHUNKS_PER_LOOK) {
      const found = this.chunksBehind(this.position(), Math.min(left, CHUNKS_PER_LOOK));
      for (const [foldKey, hour] of found) {
        const meter = meters.meters.get(foldKey);
        // Nobody can ask for a meter that is gone.
        if (!meter) continue;
        const emptied = emptyRollups(this.store.folds.chunk(meter, hour), now - MINUTE_RETENTION_MS);
        for (const rows of batches(emptied)) await say(rows);
      }
      if (found.length === 0) {
        await say([]);
        this.store.state.write("told", ALL);
        return (this.told = true);
      }
      this.store.state.write("told", JSON.stringify(found.at(-1)));
    }
    return false;
  }

  private position(): Position {
    const stored = this.store.state.read("told");
    return stored === null ? ["", 0] : (JSON.parse(stored) as Position);
  }

  private chunksBehind([meter, hour]: Position, limit: number): Position[] {
    const query = "SELECT DISTINCT meter, hour FROM folds WHERE (meter, hour) > (?, ?) ORDER BY meter, hour LIMIT ?";
    return this.sql
      .exec<{ meter: string; hour: number }>(query, meter, hour, limit)
      .toArray()
      .map((row) => [row.meter, row.hour]);
  }
}

function* batches(rows: Iterable<RollupRow>): Generator<RollupRow[]> {
  let batch: RollupRow[] = [];
  for (const row of rows) {
    if (batch.push(row) < ROWS_PER_SEND) continue;
    yield batch;
    batch = [];
  }
  if (batch.length > 0) yield batch;
}
