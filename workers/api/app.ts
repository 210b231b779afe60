/**
 * The router: mounts every route of the contract with its handler, and does for all of them what none should do alone:
 * admit the caller, check parameters and body against the contract, keep `Idempotency-Key`'s promise, and turn whatever is thrown
 * into a problem. A handler gets parsed input and answers a status with a body of the contract's shape, or a Response.
 */
import type { ParamIndexMap, ParamStash } from "hono/router";
import { RegExpRouter } from "hono/router/reg-exp-router";
import type * as z from "zod";
import { customerParam } from "../../schema/contract/fields";
import type { Resource, Route } from "../../schema/contract/route";
import { causeOf, type Context, type Lifetime } from "../context";
import { admit, type Principal } from "./auth";
import { claim, fingerprintOf, idempotencyKeyOf } from "./idempotency";
import { invalid, notFound, Problem, problemResponse } from "./problem";
import { BODY_BYTES_MAX, mediaType, parseJson, parseShape, readText } from "./read-body";
import { nameFault } from "./read-events";
import { readQuery } from "./read-query";

type Part<R extends Route, P extends "params" | "query"> = R[P] extends z.ZodType ? z.output<R[P]> : undefined;
type BodyOf<R extends Route> = R extends { body: { schema: infer S extends z.ZodType } } ? z.output<S> : undefined;
type PrincipalOf<R extends Route> = R["access"] extends "public" | "operator" ? null : Principal;

export interface Ask<R extends Route = Route> {
  context: Context;
  principal: PrincipalOf<R>;
  params: Part<R, "params">;
  query: Part<R, "query">;
  body: BodyOf<R>;
  request: Request;
  /** Of a POST, checked; null: the caller sent none. */
  idempotencyKey: string | null;
  /** Hash of method, path and body: what a repeated Idempotency-Key must agree with. Null without the key. */
  fingerprint: string | null;
}

type Replies<R extends Route> = {
  [S in keyof R["replies"] & number]: R["replies"][S] extends { schema: infer Z extends z.ZodType }
    ? { status: S; body: z.input<Z> }
    : { status: S };
}[keyof R["replies"] & number];

export type Handler<R extends Route> = (ask: Ask<R>) => Response | Replies<R> | Promise<Response | Replies<R>>;

/** A handler that reads the body itself: the hot roads, and those whose body is no JSON. `ask.body` is undefined. */
export interface RawHandler<R extends Route> {
  raw: Handler<R>;
}

/** One handler per route: a route of the contract without one does not compile. */
export type Handlers<R extends Resource> = { [K in keyof R]: Handler<R[K]> | RawHandler<R[K]> };

/** Handlers of one resource, typed by its contract and then forgotten: the router needs no types. */
export interface Mounted {
  route: Route;
  handle: (
    ask: Ask,
  ) => Response | { status: number; body?: unknown } | Promise<Response | { status: number; body?: unknown }>;
  raw: boolean;
  /** Where it says no, the route does not exist. */
  available?: (context: Context, request: Request) => boolean;
}

export function implement<const R extends Resource>(resource: R, handlers: Handlers<R>): Mounted[] {
  return Object.entries(resource).map(([operation, route]) => {
    const handler = handlers[operation] as unknown as Mounted["handle"] | { raw: Mounted["handle"] };
    return typeof handler === "function"
      ? { route, handle: handler, raw: false }
      : { route, handle: handler.raw, raw: true };
  });
}

/**
 * Hono's router without its request context: every request passes here, and the context with what hangs on it costs more than
 * admission, checks and answer together.
 */
export function createApp(routes: readonly Mounted[], compose: (env: Env, lifetime: Lifetime) => Context) {
  const router = new RegExpRouter<Mounted>();
  for (const mounted of routes)
    router.add(mounted.route.method, mounted.route.path.replaceAll(/\{(\w+)\}/g, ":$1"), mounted);
  const methodsOf = (path: string) => METHODS.filter((method) => router.match(method, path)[0].length > 0);
  const isOpenToBrowsers = (path: string) =>
    METHODS.some((method) => router.match(method, path)[0][0]?.[0].route.cors === true);

  return {
    async fetch(request: Request, env: Env, lifetime: Lifetime): Promise<Response> {
      if (request.method === "HEAD") {
        const { status, headers } = await this.fetch(new Request(request, { method: "GET" }), env, lifetime);
        return new Response(null, { status, headers });
      }
      const path = pathOf(request.url);
      if (request.method === "OPTIONS" && isOpenToBrowsers(path)) return preflight();
      const [[found], values = []] = router.match(request.method, path) as [[Mounted, ParamIndexMap][], ParamStash?];
      if (found === undefined)
        return problemResponse(unrouted(request.method, path, methodsOf(path)), requestIdOf(request));
      const context = compose(env, lifetime);
      const { cors } = found[0].route;
      try {
        const response = await serve(found[0], context, request, () => decoded(found[1], values));
        return cors ? openToBrowsers(response) : response;
      } catch (error) {
        const response = refusalOf(error, context, request);
        return cors ? openToBrowsers(response) : response;
      } finally {
        context.close();
      }
    },
  };
}

/** `*` and no credentials: a token travels in a header that the page's own script sets. */
const CORS_HEADERS = {
  "access-control-allow-origin": "*",
  "access-control-allow-methods": "GET, POST, OPTIONS",
  "access-control-allow-headers": "authorization, content-type, accept",
  "access-control-expose-headers": "content-disposition",
  "access-control-max-age": "86400",
} as const;

const preflight = (): Response => new Response(null, { status: 204, headers: CORS_HEADERS });

function openToBrowsers(response: Response): Response {
  for (const [name, value] of Object.entries(CORS_HEADERS)) response.headers.set(name, value);
  return response;
}

const METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE"] as const;

/** From the first slash after `https://host` to the query. */
function pathOf(url: string): string {
  const start = url.indexOf("/", url.indexOf("://") + 3);
  const query = url.indexOf("?", start);
  return query === -1 ? url.slice(start) : url.slice(start, query);
}

function unrouted(method: string, path: string, allowed: readonly string[]): Problem {
  if (allowed.length === 0) return notFound(`${method} ${path}`);
  return new Problem(405, `${path} knows ${allowed.join(", ")}`, { headers: { allow: allowed.join(", ") } });
}

/** The parameters of the path, by name. */
function decoded(places: ParamIndexMap, values: ParamStash): Record<string, string> {
  const params: Record<string, string> = {};
  for (const name in places) {
    try {
      params[name] = decodeURIComponent(values[places[name]!]!);
    } catch {
      throw invalid([{ field: name, message: "is not valid percent-encoding" }]);
    }
  }
  return params;
}

/** `{customer}` is on a hot road, and is checked without zod. */
function readParams(schema: z.ZodType, params: Record<string, string>): unknown {
  if (schema !== customerParam) return parseShape(schema, params);
  const fault = nameFault(params.customer);
  if (fault !== null) throw invalid([{ field: "customer", message: fault }]);
  return params;
}

async function serve(
  { route, handle, raw, available }: Mounted,
  context: Context,
  request: Request,
  params: () => Record<string, string>,
): Promise<Response> {
  if (available && !available(context, request)) throw notFound(`${request.method} ${route.path}`);
  const admitted = admit(route.access, request, context);
  const principal = admitted instanceof Promise ? await admitted : admitted;
  const key = route.method === "POST" ? idempotencyKeyOf(request) : null;
  const ask: Ask = {
    context,
    principal: principal as Principal,
    params: route.params && readParams(route.params, params()),
    query: route.query && parseShape(route.query, readQuery(request.url, route.queryStyles)),
    body: undefined,
    request,
    idempotencyKey: key,
    fingerprint: null,
  } as Ask;
  if (!raw) {
    const text = route.body || key !== null ? await readText(request, BODY_BYTES_MAX) : "";
    if (key !== null) ask.fingerprint = fingerprintOf(context, request, text);
    if (route.body) {
      const absent = route.body.optional === true && text.trim() === "";
      const contentTypes = route.body.contentTypes ?? JSON_ONLY;
      if (!absent && !contentTypes.includes(mediaType(request)))
        throw new Problem(415, `Content-Type must be ${contentTypes.join(" or ")}`);
      ask.body = parseShape(route.body.schema, absent ? {} : parseJson(text)) as never;
    }
    if (route.idempotency === "claim") await claim(ask, route);
  }
  const reply = await handle(ask);
  if (reply instanceof Response) return reply;
  if (reply.body === undefined) return new Response(null, { status: reply.status });
  return new Response(JSON.stringify(reply.body), { status: reply.status, headers: JSON_HEADERS });
}

const JSON_ONLY = ["application/json"];
export const JSON_HEADERS = { "content-type": "application/json" } as const;

function refusalOf(error: unknown, context: Context, request: Request): Response {
  const requestId = requestIdOf(request);
  if (error instanceof Problem) return problemResponse(error, requestId);
  context.report("request failed", {
    requestId,
    method: request.method,
    path: new URL(request.url).pathname,
    cause: causeOf(error),
  });
  return problemResponse(
    new Problem(500, "something went wrong here, not in your request; it is logged under the id in `instance`"),
    requestId,
  );
}

/** Cloudflare's own id where there is one, so that their logs and ours agree. */
const requestIdOf = (request: Request): string => request.headers.get("cf-ray") ?? crypto.randomUUID();
