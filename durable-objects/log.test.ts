/** The log inside workerd: what SQLite there bills, and what an eviction leaves. Its whole behaviour: test/simulator/log.test.ts. */
import { evictDurableObject, runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { describe, expect, it } from "vitest";
import { Log, LOG_TABLES } from "./log";

/** The storage, with the rows it was billed for. */
function counted(storage: DurableObjectStorage) {
  const cursors: { rowsWritten: number }[] = [];
  const exec: SqlStorage["exec"] = (query, ...bindings) => {
    const cursor = storage.sql.exec(query, ...bindings);
    cursors.push(cursor);
    return cursor as never;
  };
  const sql = { exec } as SqlStorage;
  const transaction = <T>(work: () => T): T => storage.transactionSync(work);
  return {
    log: () => new Log(sql, transaction),
    rowsWritten: () => cursors.splice(0).reduce((sum, { rowsWritten }) => sum + rowsWritten, 0),
  };
}

const entryJson = (seq: number) =>
  JSON.stringify({ seq, source: "svc-gateway", id: `${seq * 7_919}`, text: "x".repeat(600), ž: "😀" });

describe("the log in workerd", () => {
  it("costs one row write an append and about one more to merge", async () => {
    await runInDurableObject(env.CUSTOMER.getByName("test/log-writes"), (_, { storage }) => {
      storage.sql.exec(LOG_TABLES);
      const { log, rowsWritten } = counted(storage);
      const writer = log();
      for (let seq = 1; seq <= 3_000; seq++) {
        writer.append(seq, entryJson(seq), { journal: 1, events: 1 });
        expect(rowsWritten()).toBe(1);
      }
      while (writer.mergeStep().more);
      expect(rowsWritten() / 3_000).toBeLessThan(1.1);
      expect(writer.rows).toBeLessThan(64 + 16);
    });
  });

  it("reads the same entries after an eviction, from pages and from rows that were not merged yet", async () => {
    const stub = env.CUSTOMER.getByName("test/log-eviction");
    await runInDurableObject(stub, (_, { storage }) => {
      storage.sql.exec(LOG_TABLES);
      const log = counted(storage).log();
      for (let seq = 1; seq <= 300; seq++) {
        log.append(seq, seq === 100 ? JSON.stringify("y".repeat(5_000)) : entryJson(seq), {
          journal: seq % 2,
          events: 1,
        });
        if (seq === 250) while (log.mergeStep().more);
      }
    });
    await evictDurableObject(stub);
    await runInDurableObject(stub, (_, { storage }) => {
      const log = counted(storage).log();
      expect(log.head).toBe(300);
      const seqs = Array.from({ length: 300 }, (_, i) => i + 1);
      expect([...log.forward(1)].map(({ json }) => json)).toEqual(
        seqs.map((seq) => (seq === 100 ? JSON.stringify("y".repeat(5_000)) : entryJson(seq))),
      );
      expect([...log.backward(301, { journalOnly: true })].map(({ seq }) => seq)).toEqual(
        seqs.filter((seq) => seq % 2 === 1).toReversed(),
      );
      expect(seqs.filter((seq) => log.read(seq)?.seq !== seq)).toEqual([]);
      log.append(301, entryJson(301), { journal: 0, events: 1 });
      expect(log.read(301)?.json).toBe(entryJson(301));
    });
  });

  it("visits few rows for a read: it seeks by number", async () => {
    await runInDurableObject(env.CUSTOMER.getByName("test/log-reads"), (_, { storage }) => {
      storage.sql.exec(LOG_TABLES);
      const cursors: SqlStorageCursor<Record<string, SqlStorageValue>>[] = [];
      const exec: SqlStorage["exec"] = (query, ...bindings) => {
        const cursor = storage.sql.exec(query, ...bindings);
        cursors.push(cursor);
        return cursor as never;
      };
      const log = new Log({ exec } as SqlStorage, (work) => storage.transactionSync(work));
      for (let seq = 1; seq <= 1_000; seq++) log.append(seq, entryJson(seq), { journal: 0, events: 1 });
      cursors.length = 0;
      log.read(500);
      log.forward(500).next();
      log.backward(500).next();
      expect(cursors.reduce((sum, { rowsRead }) => sum + rowsRead, 0)).toBeLessThan(100);
    });
  });

  it("makes nothing by reading", async () => {
    await runInDurableObject(env.CUSTOMER.getByName("test/log-empty"), (_, { storage }) => {
      const log = counted(storage).log();
      expect([log.head, log.read(1), [...log.forward(1)], log.mergeStep()]).toEqual([0, null, [], { more: false }]);
      expect(
        storage.sql.exec("SELECT name FROM sqlite_master WHERE name NOT LIKE '\\_cf%' ESCAPE '\\'").toArray(),
      ).toEqual([]);
    });
  });
});
