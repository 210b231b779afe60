/** Bindings that no file in the repository may carry: secrets (`wrangler secret put`) and what only the launcher sets. */
interface Secrets {
  /** Creates the first namespace and key of a deployment. */
  TOLLGATE_ADMIN_KEY?: string;
  /** A Neon (Postgres) connection string; when set, it replaces D1 as the shared store. */
  DATABASE_URL?: string;
  /** Signs portal tokens: 32 characters or more. A deployment without it makes none. */
  PORTAL_SECRET?: string;
  /** "1" only under scripts/local.ts and in the tests; a deployed Worker never has it. */
  TOLLGATE_LOCAL?: string;
  /** Made anew by each start of scripts/local.ts: without it nobody seeds, whatever TOLLGATE_LOCAL says. */
  TOLLGATE_SEED_TOKEN?: string;
}

interface Env extends Secrets {}

declare namespace Cloudflare {
  interface Env extends Secrets {}
}
