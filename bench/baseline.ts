/**
 * What Tollgate is measured against: the least that a Worker on this platform can do. Bare fetch handlers, no router, no key, no
 * checks. B1 parses the body and replies; B2 does the same and has an object store the raw body as one row, so the reply means
 * durable; the constant's object answers without looking at anything. instance.ts makes one of the handlers the Worker.
 */
import { DurableObject } from "cloudflare:workers";

interface BaselineEnv {
  OBJECT: DurableObjectNamespace<BaselineObject>;
}

/** As large as Tollgate's own answer to the same call. */
const CONSTANT = {
  customerId: "01JD6ZB5T9V2M8Q4X7R1C3E5GH",
  userId: "constant",
  balance: "998765.4321",
  held: "0",
  available: "998765.4321",
  overdraftLimit: "0",
  currency: "CREDITS",
  status: "ACTIVE",
  unrated: 0,
  burnTable: null,
  lastTransaction: { amount: "-0.0055", reason: "chat", timestamp: "2026-11-21T06:00:00.000Z" },
};

export class BaselineObject extends DurableObject<BaselineEnv> {
  constructor(ctx: DurableObjectState, env: BaselineEnv) {
    super(ctx, env);
    ctx.storage.sql.exec("CREATE TABLE IF NOT EXISTS body (id INTEGER PRIMARY KEY, raw TEXT NOT NULL)");
  }

  store(raw: string): void {
    this.ctx.storage.sql.exec("INSERT INTO body (raw) VALUES (?)", raw);
  }

  constant(): typeof CONSTANT {
    return CONSTANT;
  }
}

const object = (request: Request, env: BaselineEnv) => env.OBJECT.getByName(new URL(request.url).pathname);

/** B1. */
export const parse: ExportedHandler<BaselineEnv> = {
  async fetch(request) {
    JSON.parse(await request.text());
    return Response.json({ ok: true });
  },
};

/** B2. */
export const store: ExportedHandler<BaselineEnv> = {
  async fetch(request, env) {
    const raw = await request.text();
    JSON.parse(raw);
    await object(request, env).store(raw);
    return Response.json({ ok: true });
  },
};

export const constant: ExportedHandler<BaselineEnv> = {
  async fetch(request, env) {
    return Response.json(await object(request, env).constant());
  },
};
