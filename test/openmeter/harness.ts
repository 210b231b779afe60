/**
 * What every file of the suite starts with: a namespace of its own in the suite's server, and OpenMeter's client for it,
 * unmodified. Its `fetch` records each exchange and throws when OpenMeter's document does not allow the answer.
 */
import { randomUUID } from "node:crypto";
import { type Event, HTTPError, OpenMeter } from "@openmeter/sdk";
import { OpenMeter as Portal } from "@openmeter/sdk/portal";
import { expect, inject, vi } from "vitest";
import { checkAnswer, NotConforming } from "./conformity";

const ADMIN_KEY = "tg_admin_local";
/** Lists and queries of a whole namespace are less than 2 s behind; a machine that runs other suites meanwhile gets more. */
const LAG_MAX_MS = 10_000;
const POLL_MS = 50;

export interface Exchange {
  method: string;
  url: URL;
  requestHeaders: Headers;
  requestBody: string;
  status: number;
  headers: Headers;
  body: string;
}

export interface Tenant {
  url: string;
  apiKey: string;
  om: OpenMeter;
  /** The client of `@openmeter/sdk/portal`, with this token. */
  portal(token: string): Portal;
  /** What the client cannot send: other Accept headers, other bodies, other paths. Checked like everything else. */
  send(path: string, init?: RequestInit): Promise<Response>;
  /** The last exchange, whoever caused it. */
  last(): Exchange;
}

export async function newTenant(): Promise<Tenant> {
  const url = inject("tollgateUrl");
  const opened = await fetch(`${url}/api/v1/namespaces`, {
    method: "POST",
    headers: { authorization: `Bearer ${ADMIN_KEY}`, "content-type": "application/json" },
    body: JSON.stringify({ key: `om_${randomUUID().replaceAll("-", "")}`, kind: "live" }),
  });
  expect(opened.status).toBe(201);
  const { apiKey } = (await opened.json()) as { apiKey: string };
  return tenantOf(url, apiKey);
}

/** The namespace that an existing key opens. */
export function tenantOf(url: string, apiKey: string): Tenant {
  const exchanges: Exchange[] = [];
  const recorded = async (request: Request): Promise<Response> => {
    const requestBody = await request.clone().text();
    const response = await fetch(request);
    const { status, headers } = response;
    const body = await response.clone().text();
    const { method } = request;
    const at = new URL(request.url);
    exchanges.push({ method, url: at, requestHeaders: request.headers, requestBody, status, headers, body });
    checkAnswer({ method, path: at.pathname, status, contentType: headers.get("content-type"), body });
    return response;
  };
  return {
    url,
    apiKey,
    om: new OpenMeter({ baseUrl: url, apiKey, fetch: recorded }),
    portal: (portalToken) => new Portal({ baseUrl: url, portalToken, fetch: recorded }),
    send: (path, init) => {
      const headers = new Headers(init?.headers);
      if (!headers.has("authorization")) headers.set("authorization", `Bearer ${apiKey}`);
      return recorded(new Request(url + path, { ...init, headers }));
    },
    last: () => exchanges.at(-1)!,
  };
}

/** Asks until what it says holds. Only for what OpenMeter itself shows with delay: whole namespaces, never one subject. */
export async function eventually(assertion: () => Promise<void>): Promise<void> {
  let broken: NotConforming | undefined;
  await vi.waitFor(
    async () => {
      try {
        await assertion();
      } catch (error) {
        // An answer that must not be is no reason to ask again.
        if (!(error instanceof NotConforming)) throw error;
        broken = error;
      }
    },
    { timeout: LAG_MAX_MS, interval: POLL_MS },
  );
  if (broken !== undefined) throw broken;
}

/** The HTTPError that the client throws, and nothing else. */
export async function refusal(call: Promise<unknown>): Promise<HTTPError> {
  const outcome = await call.then(
    (answer) => new Error(`not refused: ${JSON.stringify(answer)}`),
    (error: unknown) => error,
  );
  if (!(outcome instanceof HTTPError)) throw outcome;
  return outcome;
}

/** An event with an id of its own. */
export const event = (
  type: string,
  subject: string,
  time: string | Date,
  data?: Record<string, unknown> | null,
): Event & { id: string; source: string } => ({
  id: randomUUID(),
  source: "test",
  specversion: "1.0",
  type,
  subject,
  time: new Date(time),
  ...(data !== undefined && { data }),
});

export const ULID = /^[0-7][0-9A-HJKMNP-TV-Z]{25}$/;
/** Looks like an id, and nobody has it. */
export const NOBODY = "01JZZZZZZZZZZZZZZZZZZZZZZZ";
