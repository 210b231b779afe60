/**
 * The few named values an object keeps beside its log: checkpoint, configuration, home. All SQL of the `state` table is here.
 * Bodies are deflated; a format byte in front leaves room for another codec.
 */
import { deflateRawSync, inflateRawSync } from "node:zlib";

export type StateKey =
  /** The account as of a log entry (core/checkpoint.ts). */
  | "checkpoint"
  /** The newest configuration snapshot seen. */
  | "config"
  /** The object name that owns this object's name now. */
  | "home"
  /** The customer id's own object points here. */
  | "announced"
  /** The archive's queue has the log up to this entry. */
  | "archived"
  /** How far the store has been told that what was counted here is the home's now (merge-told.ts). */
  | "told";

const DEFLATED_JSON = 1;
const FAST = { level: 1 } as const;

export class State {
  constructor(private readonly sql: SqlStorage) {}

  read(key: StateKey): string | null {
    const row = this.sql.exec<{ body: ArrayBuffer }>("SELECT body FROM state WHERE key = ?", key).toArray()[0];
    if (!row) return null;
    const bytes = new Uint8Array(row.body);
    if (bytes[0] !== DEFLATED_JSON) throw new Error(`state ${key} has the unknown format ${bytes[0]}`);
    return inflateRawSync(bytes.subarray(1)).toString("utf8");
  }

  remove(key: StateKey): void {
    this.sql.exec("DELETE FROM state WHERE key = ?", key);
  }

  /** One row write. */
  write(key: StateKey, text: string): void {
    const deflated = deflateRawSync(text, FAST);
    const body = new Uint8Array(1 + deflated.byteLength);
    body[0] = DEFLATED_JSON;
    body.set(deflated, 1);
    this.sql.exec(
      "INSERT INTO state (key, body) VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET body = excluded.body",
      key,
      body,
    );
  }
}
