/**
 * Portal tokens: JWTs (HS256) that a customer's browser may ask with. Each namespace signs with a key of its own, derived from the
 * deployment's secret, so that no namespace's token can be made into another's. A signature proves that the token was given out; its row
 * says what it may do, until when, and whether it was revoked. The row is remembered for 30 s in live namespaces, like an API key.
 */
import { hkdfSync } from "node:crypto";
import { decodeJwt, jwtVerify, SignJWT } from "jose";
import { ULID } from "../schema/contract/fields";
import { findPortalToken, type PortalAccess, type PortalToken } from "../store/portal-tokens";
import { bearer, refused } from "./api/auth";
import { Problem } from "./api/problem";
import type { Context } from "./context";

const ALGORITHM = "HS256";
const ISSUER = "tollgate";
/** A claim of ours: whose key signed it. */
const NAMESPACE = "namespace";
/** Whoever has a token can try secrets against it for as long as they like. */
const SECRET_CHARS_MIN = 32;
const KEY_BYTES = 32;
/** A signed token of the longest subject; anything longer costs no work. */
const TOKEN_CHARS_MAX = 4_096;

function keyOf({ env }: Context, namespaceId: string): Uint8Array {
  const secret = env.PORTAL_SECRET ?? "";
  if (secret.length < SECRET_CHARS_MIN) {
    const what = secret === "" ? "has no secret" : `has too short a secret`;
    const detail = `this deployment ${what} for portal tokens: run \`wrangler secret put PORTAL_SECRET\` and give it ${SECRET_CHARS_MIN} random characters or more`;
    throw new Problem(503, detail);
  }
  return new Uint8Array(hkdfSync("sha256", secret, "", `tollgate portal token ${namespaceId}`, KEY_BYTES));
}

export async function signPortalToken(
  context: Context,
  namespaceId: string,
  { id, subject, createdAt, expiresAt }: PortalToken,
): Promise<string> {
  return new SignJWT({ [NAMESPACE]: namespaceId })
    .setProtectedHeader({ alg: ALGORITHM, typ: "JWT" })
    .setIssuer(ISSUER)
    .setSubject(subject)
    .setJti(id)
    .setIssuedAt(Math.floor(createdAt / 1_000))
    .setExpirationTime(Math.ceil(expiresAt / 1_000))
    .sign(keyOf(context, namespaceId));
}

/** Who asks with a portal token; throws the 401. */
export async function admitPortalToken(context: Context, request: Request): Promise<PortalAccess> {
  const claimed = await verified(context, bearer(request, "a portal token"));
  const access = claimed && (await accessOf(context, claimed));
  if (!access) throw refused("this portal token is not one of ours");
  if (access.closedAt !== null) throw refused("this portal token's namespace is closed");
  if (access.revokedAt !== null) throw refused("this portal token was revoked");
  if (access.expiresAt <= context.now()) throw refused("this portal token has expired");
  return access;
}

interface Claimed {
  namespaceId: string;
  id: string;
}

/** null: whatever this is, we did not sign it. When it expires is its row's business, which has the milliseconds. */
async function verified(context: Context, token: string): Promise<Claimed | null> {
  if (token.length > TOKEN_CHARS_MAX) return null;
  const namespaceId = namespaceIn(token);
  if (namespaceId === null) return null;
  const key = keyOf(context, namespaceId);
  try {
    const { payload } = await jwtVerify(token, key, {
      algorithms: [ALGORITHM],
      issuer: ISSUER,
      requiredClaims: ["sub", "jti", "exp"],
      currentDate: new Date(0),
    });
    return { namespaceId, id: payload.jti! };
  } catch {
    return null;
  }
}

/** As the token says: which key to check it with, and nothing else. */
function namespaceIn(token: string): string | null {
  try {
    const claim = decodeJwt(token)[NAMESPACE];
    return typeof claim === "string" && ULID.test(claim) ? claim : null;
  } catch {
    return null;
  }
}

async function accessOf(context: Context, { namespaceId, id }: Claimed): Promise<PortalAccess | null> {
  const key = `${namespaceId} ${id}`;
  const known = context.caches.portalTokens.get(key, context.now());
  if (known !== undefined) return known;
  const access = await findPortalToken(context.store, namespaceId, id);
  if (access?.kind === "live") context.caches.portalTokens.set(key, access, context.now());
  return access;
}
