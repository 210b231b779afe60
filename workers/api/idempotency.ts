/**
 * `Idempotency-Key`: for 24 hours a key belongs to one request of one namespace; the same key with another body is a conflict.
 * A grant needs nothing from here (the key becomes the operation id of its object). A change of the store commits the answer
 * with the change and repeats it; a call that is harmless to repeat only claims the key. Stored answers may hold a key that is
 * shown once, so they are sealed under the caller's own API key, which is stored nowhere.
 */
import { createCipheriv, createDecipheriv, createHmac } from "node:crypto";
import type { Route } from "../../schema/contract/route";
import { claimKey, findAnswer, rememberAnswer, type RememberedAnswer } from "../../store/idempotency";
import type { Statement } from "../../store/store";
import type { Ask } from "./app";
import type { Context } from "../context";
import { Problem } from "./problem";

const KEY = /^[\x21-\x7e]{1,255}$/;

/** The operator's requests belong to no namespace; no namespace has this id. */
const OPERATOR = "operator";

export function idempotencyKeyOf(request: Request): string | null {
  const key = request.headers.get("idempotency-key");
  if (key !== null && !KEY.test(key)) {
    throw new Problem(400, "Idempotency-Key must be 1 to 255 visible ASCII characters without spaces");
  }
  return key;
}

/** What a repeated key must agree with. */
export const fingerprintOf = (context: Context, request: Request, bodyText: string): string =>
  context.sha256(`${request.method} ${new URL(request.url).pathname}\n${bodyText}`);

type Caller = Pick<Ask, "context" | "request" | "idempotencyKey" | "fingerprint"> & {
  principal: { namespaceId: string } | null;
};

const namespaceOf = ({ principal }: Caller): string => principal?.namespaceId ?? OPERATOR;

/** Ties the caller's key, if any, to this body. For calls whose repetition changes nothing. */
export async function claim(caller: Caller, route: Pick<Route, "path">): Promise<void> {
  const { context, idempotencyKey: key, fingerprint } = caller;
  if (key === null || fingerprint === null) return;
  const claimed = await claimKey(context.store, namespaceOf(caller), {
    key,
    route: route.path,
    bodyHash: fingerprint,
    status: 0,
    response: "",
    createdAt: context.now(),
  });
  if (!claimed.ok && claimed.refusal.bodyHash !== fingerprint) throw conflict();
}

interface Reply {
  status: number;
  body: unknown;
}

/** The statements that store the answer; they go into the batch of the change. None without an Idempotency-Key. */
export type Remember = (reply: Reply) => Statement[];

/**
 * Answers what the caller's key was answered before, or makes the change. `change` commits its statements and those of `remember`
 * in one batch; it answers null when that batch met the key of another request that was faster.
 */
export async function once<R extends Reply>(
  caller: Caller,
  route: Pick<Route, "path">,
  change: (remember: Remember) => Promise<R | null>,
): Promise<R> {
  const { context, idempotencyKey: key, fingerprint } = caller;
  if (key === null || fingerprint === null) {
    const reply = await change(() => []);
    if (reply === null) throw new Error("a request without an Idempotency-Key was taken for a repetition");
    return reply;
  }
  const before = await findAnswer(context.store, namespaceOf(caller), key, context.now());
  if (before !== null) return repeat(caller, before, key, fingerprint);
  const remember: Remember = ({ status, body }) =>
    rememberAnswer(context.store, namespaceOf(caller), {
      key,
      route: route.path,
      bodyHash: fingerprint,
      status,
      response: seal(caller, key, JSON.stringify(body)),
      createdAt: context.now(),
    });
  let refused: unknown = new Error("an Idempotency-Key was taken, yet nobody has it");
  try {
    const reply = await change(remember);
    if (reply !== null) return reply;
  } catch (error) {
    // What it met may be what the same request, sent twice at a time, has just made.
    if (!(error instanceof Problem && error.status === 409)) throw error;
    refused = error;
  }
  const winner = await findAnswer(context.store, namespaceOf(caller), key, context.now());
  if (winner === null) throw refused;
  return repeat(caller, winner, key, fingerprint);
}

/** The fingerprint names the route, so what it was answered has the type of what it would be answered. */
function repeat<R extends Reply>(caller: Caller, answer: RememberedAnswer, key: string, fingerprint: string): R {
  if (answer.bodyHash !== fingerprint) throw conflict();
  const text = unseal(caller, key, answer.response);
  if (text === null)
    throw new Problem(409, "this Idempotency-Key was used with another API key", { code: "idempotency-conflict" });
  return { status: answer.status, body: JSON.parse(text) as unknown } as R;
}

const conflict = (): Problem =>
  new Problem(409, "this Idempotency-Key was used for another request; use a new one", {
    code: "idempotency-conflict",
  });

const CIPHER = "aes-256-gcm";
const IV_BYTES = 12;
const TAG_BYTES = 16;

/** One key per caller and Idempotency-Key, so a nonce never meets another plaintext but by chance of 2⁻⁹⁶. */
function sealingKey({ request }: Caller, key: string): Buffer {
  return createHmac("sha256", request.headers.get("authorization") ?? "")
    .update(`idempotency ${key}`)
    .digest();
}

function seal(caller: Caller, key: string, text: string): string {
  const iv = caller.context.randomBytes(IV_BYTES);
  const cipher = createCipheriv(CIPHER, sealingKey(caller, key), iv);
  return Buffer.concat([iv, cipher.update(text, "utf8"), cipher.final(), cipher.getAuthTag()]).toString("base64");
}

/** null: sealed under another key. */
function unseal(caller: Caller, key: string, sealed: string): string | null {
  const bytes = Buffer.from(sealed, "base64");
  if (bytes.length < IV_BYTES + TAG_BYTES) return null;
  const decipher = createDecipheriv(CIPHER, sealingKey(caller, key), bytes.subarray(0, IV_BYTES));
  decipher.setAuthTag(bytes.subarray(-TAG_BYTES));
  try {
    return Buffer.concat([decipher.update(bytes.subarray(IV_BYTES, -TAG_BYTES)), decipher.final()]).toString("utf8");
  } catch {
    return null;
  }
}
