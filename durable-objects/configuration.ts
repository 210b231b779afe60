/**
 * The namespace's configuration as this object knows it: burn tables and meters of one version, compiled. Never replaced by an
 * older version. Before the first write it lives in memory only, so that reads of unknown names store nothing.
 */
import type { Rating } from "../core/account";
import { compileTable, loadBurnTable, type CompiledTable } from "../core/burn-table";
import { compileMeters, type CompiledMeters } from "../core/meter";
import { priceBook } from "../providers/price-book";
import type { ConfigSnapshot } from "./rpc";
import type { State } from "./state";

export class Configuration {
  version = 0;
  rating: Rating = { tables: new Map(), defaults: [], priceBook };
  meters: CompiledMeters = compileMeters([]);
  /** Newer than what is stored. */
  private unsaved: string | null = null;

  /** Reads the stored version, if any. */
  restore(state: State): void {
    const stored = state.read("config");
    if (stored !== null) this.use(JSON.parse(stored) as ConfigSnapshot);
  }

  /** Takes a snapshot unless a newer one is in use. */
  offer(snapshot: ConfigSnapshot): void {
    if (snapshot.version <= this.version) return;
    this.use(snapshot);
    this.unsaved = JSON.stringify(snapshot);
  }

  /** Stores what is not stored yet; for an object that has tables. */
  save(state: State): void {
    if (this.unsaved === null) return;
    state.write("config", this.unsaved);
    this.unsaved = null;
  }

  private use(snapshot: ConfigSnapshot): void {
    const tables = new Map<string, CompiledTable[]>();
    for (const stored of snapshot.burnTables) {
      const versions = tables.get(stored.key) ?? [];
      versions.push(compileTable(loadBurnTable(stored)));
      tables.set(stored.key, versions);
    }
    this.version = snapshot.version;
    this.rating = { tables, defaults: snapshot.defaults, priceBook };
    this.meters = compileMeters(snapshot.meters);
  }
}
