/** `npm run migrate:neon`: applies the Postgres migrations to the database that DATABASE_URL names. Safe to repeat. */
import { migratePostgres } from "../store/migrate-postgres";

const { DATABASE_URL } = process.env;
if (!DATABASE_URL) {
  console.error("Set DATABASE_URL to the connection string of the Neon database, then run this again.");
  process.exit(1);
}
await migratePostgres(DATABASE_URL);
console.log(`Migrated ${new URL(DATABASE_URL).host}.`);
