/**
 * `wrangler d1 migrations apply` as a Worker beside ours, on the same database: same table, same order. It answers any request
 * on its own local socket by applying what is not applied yet. A Worker, because miniflare's getD1Database() costs 0.3 s.
 */
interface MigratorEnv {
  DB: D1Database;
  MIGRATIONS: { name: string; statements: string[] }[];
}

/** As wrangler creates it. */
const TABLE =
  "CREATE TABLE IF NOT EXISTS d1_migrations(id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT UNIQUE, applied_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP NOT NULL)";

export default {
  async fetch(_request, { DB, MIGRATIONS }) {
    const [, known] = await DB.batch<{ name: string }>([
      DB.prepare(TABLE),
      DB.prepare("SELECT name FROM d1_migrations"),
    ]);
    const applied = new Set(known?.results.map(({ name }) => name));
    for (const { name, statements } of MIGRATIONS) {
      if (applied.has(name)) continue;
      const record = DB.prepare("INSERT INTO d1_migrations (name) VALUES (?)").bind(name);
      try {
        await DB.batch([...statements.map((sql) => DB.prepare(sql)), record]);
      } catch (error) {
        return new Response(`Migration ${name}: ${(error as Error).message}`, { status: 500 });
      }
    }
    return new Response();
  },
} satisfies ExportedHandler<MigratorEnv>;
