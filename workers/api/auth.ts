/**
 * Who calls, and may they? A namespace key is looked up by its hash in one query and then remembered for 30 s in live
 * namespaces, so a busy key costs no read and a revoked one stops within 30 s. Sandbox keys are looked up every time: what is
 * made there holds at once. The operator's key opens namespaces and nothing else.
 */
import { createHash, timingSafeEqual } from "node:crypto";
import type { Access, Scope } from "../../schema/contract/route";
import { findPrincipal, keyState, LAST_USED_RESOLUTION_MS, touchApiKey } from "../../store/api-keys";
import type { Context } from "../context";
import { Problem } from "./problem";

export interface Principal {
  keyId: string;
  namespaceId: string;
  kind: "live" | "sandbox";
  /** The namespace's configuration when the key was looked up. */
  configVersion: number;
  scopes: ReadonlySet<string>;
  expiresAt: number | null;
  lastUsedAt: number | null;
}

const SCHEME = "Bearer ";
/** What a key can look like; anything else costs no query. */
const KEY = /^tg_[A-Za-z0-9_-]{1,128}$/;

export const refused = (detail: string): Problem =>
  new Problem(401, detail, { headers: { "www-authenticate": "Bearer" } });

/** What was sent in place of `what`. */
export function bearer(request: Request, what = "your API key"): string {
  const header = request.headers.get("authorization");
  if (header === null) throw refused(`send ${what} as \`Authorization: Bearer <key>\``);
  // RFC 9110: the scheme's name has no case.
  if (!header.startsWith(SCHEME) && header.slice(0, SCHEME.length).toLowerCase() !== SCHEME.toLowerCase()) {
    throw refused("the Authorization header must be `Bearer <key>`");
  }
  return header.slice(SCHEME.length);
}

/** Throws the 401 or 403, or answers who calls; null for routes that no namespace key opens. */
export function admit(access: Access, request: Request, context: Context): Principal | null | Promise<Principal> {
  if (access === "public") return null;
  if (access === "operator") return admitOperator(request, context);
  const key = bearer(request);
  const known = context.caches.principals.get(key, context.now());
  return known === undefined ? lookUp(key, access, context) : admitted(known, access, context);
}

async function lookUp(key: string, scope: Scope, context: Context): Promise<Principal> {
  const found = KEY.test(key) ? await findPrincipal(context.store, context.sha256(key)) : null;
  if (found === null) throw refused(isOperators(key, context) ? OPERATOR_KEY_OPENS : "this API key does not exist");
  const now = context.now();
  const state = keyState(found, now);
  switch (state) {
    case "active":
      break;
    case "expired":
      throw refused("this API key has expired");
    case "revoked":
      throw refused("this API key was revoked");
    case "closed":
      throw refused("this API key's namespace is closed");
  }
  const { keyId, namespaceId, kind, configVersion, expiresAt, lastUsedAt } = found;
  const principal: Principal = {
    keyId,
    namespaceId,
    kind,
    configVersion,
    scopes: new Set(found.scopes),
    expiresAt,
    lastUsedAt,
  };
  if (kind === "live") context.caches.principals.set(key, principal, now);
  return admitted(principal, scope, context);
}

function admitted(principal: Principal, scope: Scope, context: Context): Principal {
  const now = context.now();
  if (principal.expiresAt !== null && principal.expiresAt <= now) throw refused("this API key has expired");
  if (!principal.scopes.has(scope)) {
    throw new Problem(403, `this API key lacks the scope "${scope}"`, { code: "missing-scope", evidence: { scope } });
  }
  if (principal.lastUsedAt === null || principal.lastUsedAt + LAST_USED_RESOLUTION_MS <= now) {
    principal.lastUsedAt = now;
    context.later(touchApiKey(context.store, principal.namespaceId, principal.keyId, now));
  }
  return principal;
}

function admitOperator(request: Request, { env }: Context): null {
  const expected = env.TOLLGATE_ADMIN_KEY;
  if (!expected) throw new Problem(503, "this deployment has no operator key: set the secret TOLLGATE_ADMIN_KEY");
  if (!sameText(bearer(request), expected)) throw refused("this is not the operator's key");
  return null;
}

const OPERATOR_KEY_OPENS =
  "this is the operator's key, and this key only opens /api/v1/namespaces; use a key of a namespace here";

const isOperators = (key: string, { env }: Context): boolean =>
  !!env.TOLLGATE_ADMIN_KEY && sameText(key, env.TOLLGATE_ADMIN_KEY);

/** In a time that tells nothing about `expected`: digests have one length, and are compared in constant time. */
export function sameText(given: string, expected: string): boolean {
  const digest = (text: string) => createHash("sha256").update(text).digest();
  return timingSafeEqual(digest(given), digest(expected));
}
