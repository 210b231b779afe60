/** API keys: made, listed, revoked, and replaced with an overlap in which both work. */
import { parseDuration } from "../../../core/duration";
import { formatInstant, parseInstant } from "../../../core/instant";
import { apiKeys } from "../../../schema/contract/api-keys";
import type { Scope } from "../../../schema/contract/route";
import {
  findApiKey,
  insertApiKey,
  listApiKeys,
  revokeApiKey,
  rotateApiKey,
  type ApiKey,
  type NewApiKey,
} from "../../../store/api-keys";
import { isRepeat } from "../../../store/idempotency";
import { implement } from "../app";
import type { Context } from "../../context";
import { once } from "../idempotency";
import { newApiKey } from "../new-key";
import { listReply, pageRequest } from "../page";
import { invalid, notFound, Problem } from "../problem";

const view = ({ id, name, prefix, scopes, createdAt, expiresAt, lastUsedAt = null }: NewApiKey & Partial<ApiKey>) => ({
  id,
  name,
  prefix,
  // Written by this file only, from the contract's list.
  scopes: scopes as Scope[],
  createdAt: formatInstant(createdAt),
  expiresAt: expiresAt === null ? null : formatInstant(expiresAt),
  lastUsedAt: lastUsedAt === null ? null : formatInstant(lastUsedAt),
});

/** The isolate that changes a key need not wait for its cache; others follow within 30 s. */
const forget = (context: Context, id: string): void =>
  context.caches.principals.deleteWhere(({ keyId }) => keyId === id);

export const apiKeyRoutes = implement<typeof apiKeys>(apiKeys, {
  async list({ context, principal, query }) {
    return listReply(await listApiKeys(context.store, principal.namespaceId, pageRequest(query)), view);
  },

  create: (ask) =>
    once(ask, apiKeys.create, async (remember) => {
      const { context, principal, body } = ask;
      const { store } = context;
      const expiresAt = parseInstant(body.expiresAt ?? "");
      if (expiresAt !== null && expiresAt <= context.now())
        throw invalid([{ field: "expiresAt", message: "must be in the future" }]);
      const { key, row } = newApiKey(context, {
        name: body.name,
        scopes: new Set(body.scopes).values().toArray(),
        expiresAt,
      });
      const reply = { status: 201 as const, body: { ...view(row), key } };
      const made = await store.batch([insertApiKey(store, principal.namespaceId, row), ...remember(reply)]);
      if (made.ok) return reply;
      if (isRepeat(made.refusal)) return null;
      throw new Error(`a new API key collided on ${made.refusal.table}`);
    }),

  async revoke({ context, principal, params }) {
    if (!(await revokeApiKey(context.store, principal.namespaceId, params.id, context.now())))
      throw notFound("this API key");
    forget(context, params.id);
    return { status: 204 };
  },

  rotate: (ask) =>
    once(ask, apiKeys.rotate, async (remember) => {
      const { context, principal, params, body } = ask;
      const { store } = context;
      const overlapMs = parseDuration(body.overlap);
      if (overlapMs === null)
        throw invalid([{ field: "overlap", message: "must be an ISO-8601 duration of at most ten years, like P1D" }]);
      const old = await findApiKey(store, principal.namespaceId, params.id);
      if (old === null || old.revokedAt !== null) throw notFound("this API key");
      const { key, row } = newApiKey(context, old);
      const reply = { status: 200 as const, body: { ...view(row), key } };
      const now = context.now();
      const rotated = await rotateApiKey(
        store,
        principal.namespaceId,
        { id: old.id, replacement: row, overlapEndsAt: now + overlapMs, now },
        remember(reply),
      );
      forget(context, old.id);
      if (rotated.ok) return reply;
      if (rotated.refusal.reason === "violation" && isRepeat(rotated.refusal)) return null;
      throw new Problem(
        409,
        "this API key was rotated before or has expired; rotate its replacement or make a new key",
      );
    }),
});
