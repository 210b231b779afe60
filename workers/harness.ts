/**
 * The Worker inside a test: the real routes, objects and D1, with a clock that the test moves, fresh caches, and every query of the
 * shared database counted. Only tests import this.
 */
import { createExecutionContext, waitOnExecutionContext } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { createApp } from "./api/app";
import { routes } from "./api/routes";
import { newCaches } from "./cache";
import { compose, type Context, type Lifetime } from "./context";

export const ADMIN_KEY = "tg_admin_test";
/** What the launcher would send to be let in. */
export const SEED_TOKEN = "seed-token-of-the-tests";

export interface Answer<T = Record<string, unknown>> {
  status: number;
  body: T;
  headers: Headers;
}

export interface Worker {
  /** Sends a request; a body that is no string is sent as JSON. Waits for background work too. */
  call<T = Record<string, unknown>>(method: string, path: string, options?: CallOptions): Promise<Answer<T>>;
  fetch(request: Request): Promise<Response>;
  context(): Context;
  /** What `report` was told. */
  reports: { event: string; detail: Record<string, unknown> }[];
  /** Queries sent to the shared database so far. */
  queries(): number;
  advance(ms: number): void;
  now(): number;
}

export interface CallOptions {
  key?: string | null;
  body?: unknown;
  type?: string;
  headers?: Record<string, string>;
}

export interface WorkerOptions {
  bindings?: Partial<Env>;
  startMs?: number;
  override?: (context: Context) => Partial<Context>;
}

export function startWorker({ bindings = {}, startMs = Date.now(), override }: WorkerOptions = {}): Worker {
  let queries = 0;
  let aheadMs = 0;
  const startedMs = Date.now();
  const now = () => startMs + (Date.now() - startedMs) + aheadMs;
  const caches = newCaches();
  const reports: Worker["reports"] = [];
  const countedEnv: Env = { ...env, DB: counted(env.DB, () => queries++), ...bindings };

  const composeForTest = (bound: Env, lifetime: Lifetime): Context => {
    const base = compose(bound, lifetime);
    const context = inherit(base, { caches, now, report: (event, detail) => void reports.push({ event, detail }) });
    return override ? inherit(context, override(context)) : context;
  };
  const app = createApp(routes, composeForTest);

  const fetch = async (request: Request): Promise<Response> => {
    const lifetime = createExecutionContext();
    const response = await app.fetch(request, countedEnv, lifetime);
    await waitOnExecutionContext(lifetime);
    return response;
  };

  return {
    fetch,
    async call<T>(
      method: string,
      path: string,
      { key, body, type = "application/json", headers = {} }: CallOptions = {},
    ) {
      const response = await fetch(
        new Request(`https://tollgate.test${path}`, {
          method,
          headers: {
            ...(key === undefined || key === null ? {} : { authorization: `Bearer ${key}` }),
            ...(body === undefined ? {} : { "content-type": type }),
            ...headers,
          },
          ...(body !== undefined && {
            body: typeof body === "string" || body instanceof Uint8Array ? body : JSON.stringify(body),
          }),
        }),
      );
      const text = await response.text();
      return { status: response.status, headers: response.headers, body: (text === "" ? undefined : parse(text)) as T };
    },
    context: () => composeForTest(countedEnv, createExecutionContext()),
    reports,
    queries: () => queries,
    advance: (ms) => void (aheadMs += ms),
    now,
  };
}

/** Inherited, not copied: the store is opened by a getter, at its first use. */
const inherit = (base: Context, own: Partial<Context>): Context =>
  Object.create(base, Object.getOwnPropertyDescriptors(own)) as Context;

const parse = (text: string): unknown => (/^[[{"]/.test(text) ? JSON.parse(text) : text);

function counted(db: D1Database, count: () => void): D1Database {
  return new Proxy(db, {
    get(target, property) {
      const value: unknown = Reflect.get(target, property);
      if (typeof value !== "function") return value;
      return (...args: unknown[]) => {
        if (property === "prepare" || property === "exec") count();
        return (value as (...args: unknown[]) => unknown).apply(target, args);
      };
    },
  });
}

export interface Tenant {
  id: string;
  /** Of the namespace. */
  key: string;
  apiKey: string;
}

let tenants = 0;

/** A namespace of its own for a test. */
export async function newTenant(worker: Worker, kind: "live" | "sandbox" = "live"): Promise<Tenant> {
  const key = `t${Date.now().toString(36)}${tenants++}`;
  const { status, body } = await worker.call<{ id: string; apiKey: string }>("POST", "/api/v1/namespaces", {
    key: ADMIN_KEY,
    body: { key, kind },
  });
  if (status !== 201) throw new Error(`no namespace: ${status} ${JSON.stringify(body)}`);
  return { id: body.id, key, apiKey: body.apiKey };
}

export const someEvent = (over: Record<string, unknown> = {}) => ({
  specversion: "1.0",
  id: crypto.randomUUID(),
  source: "test",
  type: "request",
  subject: "customer-1",
  data: { method: "GET" },
  ...over,
});
