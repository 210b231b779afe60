/**
 * A sandbox namespace's test clock. Until the first `advance` time is the wall clock's and deadlines run from the alarm; from
 * then on it stands still between calls and moves forward only. Customers' objects register their next deadline here instead
 * of setting alarms, so that `advance` can run all of them in order of time over the whole namespace. Reads write nothing.
 */
import { DurableObject } from "cloudflare:workers";
import type { Call, CustomerRpc } from "./rpc";

export interface ClockRpc {
  /** The frozen time, or null while the wall clock runs. */
  now(): Promise<number | null>;
  /**
   * Runs every deadline up to `toMs` and then stands at it. Never back. When a customer's deadline cannot be run it stays where it was;
   * the same call again goes on from there, since what was settled is settled.
   */
  advance(
    toMs: number,
  ): Promise<{ ok: true } | { ok: false; reason: "moved_back"; now: number } | { ok: false; reason: "not_settled" }>;
  /** The one next deadline of an object, or null: none. */
  register(objectName: string, deadlineMs: number | null): Promise<void>;
}

/** More rounds than any honest namespace needs: a deadline that answers itself for ever is a bug to report, not to follow. */
const ROUNDS_MAX = 1_000_000;

export class Clock extends DurableObject<Env> implements ClockRpc {
  readonly #sql = this.ctx.storage.sql;
  /** undefined: not read yet. */
  #frozenMs: number | null | undefined;
  /** Calls of `advance` run one after the other: an object is settled while others wait. */
  #turn: Promise<unknown> = Promise.resolve();

  async now(): Promise<number | null> {
    return this.#frozen();
  }

  advance(toMs: number): ReturnType<ClockRpc["advance"]> {
    const mine = this.#turn.then(() => this.#advance(toMs));
    this.#turn = mine.catch(() => {});
    return mine;
  }

  async register(objectName: string, deadlineMs: number | null): Promise<void> {
    this.#makeTables();
    if (deadlineMs === null) this.#sql.exec("DELETE FROM deadlines WHERE object = ?", objectName);
    else {
      this.#sql.exec(
        "INSERT INTO deadlines (object, at) VALUES (?, ?) ON CONFLICT (object) DO UPDATE SET at = excluded.at WHERE at <> excluded.at",
        objectName,
        deadlineMs,
      );
    }
    await this.#arm();
  }

  /** The wall clock reached a deadline. */
  override async alarm(): Promise<void> {
    if (this.#frozen() !== null) return;
    await this.#settleUntil(Date.now());
    await this.#arm();
  }

  async #advance(toMs: number): ReturnType<ClockRpc["advance"]> {
    const frozen = this.#frozen();
    if (frozen !== null && toMs < frozen) return { ok: false, reason: "moved_back", now: frozen };
    try {
      await this.#settleUntil(toMs);
    } catch (error) {
      console.error(JSON.stringify({ event: "a deadline could not be run", cause: String(error) }));
      return { ok: false, reason: "not_settled" };
    }
    this.#makeTables();
    this.#sql.exec("INSERT INTO clock (id, now) VALUES (1, ?) ON CONFLICT (id) DO UPDATE SET now = excluded.now", toMs);
    this.#frozenMs = toMs;
    await this.ctx.storage.deleteAlarm();
    return { ok: true };
  }

  /** The earliest deadline first, each at its own time, until none is left. */
  async #settleUntil(toMs: number): Promise<void> {
    for (let round = 0; round < ROUNDS_MAX; round++) {
      const due = this.#earliest();
      if (due === null || due.at > toMs) return;
      const object = this.env.CUSTOMER.getByName(due.object) as unknown as CustomerRpc;
      const namespaceId = due.object.slice(0, due.object.indexOf("/"));
      const call: Call = { namespaceId, name: "", configVersion: 0, clockMs: due.at };
      const { next } = await object.settle(call);
      // The object may have registered anew while it was settled: then this answer is the older one.
      if (next !== null && next > due.at)
        this.#sql.exec("UPDATE deadlines SET at = ? WHERE object = ? AND at = ?", next, due.object, due.at);
      else this.#sql.exec("DELETE FROM deadlines WHERE object = ? AND at = ?", due.object, due.at);
    }
    throw new Error("the deadlines of this namespace never end");
  }

  #earliest(): { object: string; at: number } | null {
    if (!this.#hasTables()) return null;
    return (
      this.#sql
        .exec<{ object: string; at: number }>("SELECT object, at FROM deadlines ORDER BY at, object LIMIT 1")
        .toArray()[0] ?? null
    );
  }

  /** While the wall clock runs, the alarm rings at the earliest deadline. */
  async #arm(): Promise<void> {
    if (this.#frozen() !== null) return;
    const earliest = this.#earliest();
    const armedAt = await this.ctx.storage.getAlarm();
    if (earliest !== null && (armedAt === null || armedAt > earliest.at)) await this.ctx.storage.setAlarm(earliest.at);
  }

  #frozen(): number | null {
    if (this.#frozenMs === undefined) {
      this.#frozenMs = this.#hasTables()
        ? (this.#sql.exec<{ now: number }>("SELECT now FROM clock").toArray()[0]?.now ?? null)
        : null;
    }
    return this.#frozenMs;
  }

  #hasTables(): boolean {
    return this.#sql.exec("SELECT 1 FROM sqlite_master WHERE name = 'clock'").toArray().length > 0;
  }

  #makeTables(): void {
    this.#sql.exec("CREATE TABLE IF NOT EXISTS clock (id INTEGER PRIMARY KEY, now INTEGER NOT NULL)");
    this.#sql.exec("CREATE TABLE IF NOT EXISTS deadlines (object TEXT PRIMARY KEY, at INTEGER NOT NULL) WITHOUT ROWID");
    this.#sql.exec("CREATE INDEX IF NOT EXISTS deadlines_at ON deadlines (at)");
  }
}
