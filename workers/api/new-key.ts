/** Makes API keys. The key itself leaves in one answer and is kept nowhere; what is stored is its hash. */
import type { NewApiKey } from "../../store/api-keys";
import type { Context } from "../context";

/** 192 random bits: guessing is hopeless, and 32 characters still paste. */
const SECRET_BYTES = 24;
/** `tg_` and eight more: enough to recognise, too few to guess the rest from. */
const PREFIX_CHARS = 11;

export function newApiKey(
  context: Context,
  { name, scopes, expiresAt }: { name: string; scopes: readonly string[]; expiresAt: number | null },
  key = `tg_${Buffer.from(context.randomBytes(SECRET_BYTES)).toString("base64url")}`,
): { key: string; row: NewApiKey } {
  const row: NewApiKey = {
    id: context.newId(),
    name,
    prefix: key.slice(0, PREFIX_CHARS),
    hash: context.sha256(key),
    scopes: [...scopes],
    createdAt: context.now(),
    expiresAt,
  };
  return { key, row };
}
