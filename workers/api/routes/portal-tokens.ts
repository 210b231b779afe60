/** Portal tokens: made, listed, revoked. What is asked with one is portal.ts's business. */
import { formatInstant, parseInstant } from "../../../core/instant";
import { portalTokens } from "../../../schema/contract/portal";
import { isRepeat } from "../../../store/idempotency";
import { findMeter } from "../../../store/meters";
import {
  insertPortalToken,
  listPortalTokens,
  revokePortalTokens,
  type PortalToken,
} from "../../../store/portal-tokens";
import { signPortalToken } from "../../portal-tokens";
import { implement } from "../app";
import { once } from "../idempotency";
import { invalid, notFound } from "../problem";

/** OpenMeter's default. */
const LIFETIME_MS = 60 * 60_000;

const view = ({ id, subject, meterSlugs, createdAt, expiresAt }: PortalToken, now: number) => ({
  id,
  subject,
  createdAt: formatInstant(createdAt),
  expiresAt: formatInstant(expiresAt),
  expired: expiresAt <= now,
  ...(meterSlugs !== null && { allowedMeterSlugs: meterSlugs }),
});

export const portalTokenRoutes = implement<typeof portalTokens>(portalTokens, {
  async list({ context, principal, query }) {
    const tokens = await listPortalTokens(context.store, principal.namespaceId, query.limit);
    return { status: 200, body: tokens.map((token) => view(token, context.now())) };
  },

  create: (ask) =>
    once(ask, portalTokens.create, async (remember) => {
      const { context, principal, body } = ask;
      const { store } = context;
      const { namespaceId } = principal;
      const now = context.now();
      const expiresAt = parseInstant(body.expiresAt ?? "") ?? now + LIFETIME_MS;
      if (expiresAt <= now) throw invalid([{ field: "expiresAt", message: "must be in the future" }]);
      for (const slug of new Set(body.allowedMeterSlugs))
        if ((await findMeter(store, namespaceId, slug))?.key !== slug) throw notFound(`the meter ${slug}`);
      const token: PortalToken = {
        id: context.newId(),
        subject: body.subject,
        meterSlugs: body.allowedMeterSlugs ?? null,
        createdAt: now,
        expiresAt,
      };
      const signed = await signPortalToken(context, namespaceId, token);
      const reply = { status: 200 as const, body: { ...view(token, now), token: signed } };
      const made = await store.batch([insertPortalToken(store, namespaceId, token), ...remember(reply)]);
      if (made.ok) return reply;
      if (isRepeat(made.refusal)) return null;
      throw new Error(`a new portal token collided on ${made.refusal.table}`);
    }),

  async invalidate({ context, principal, body }) {
    const { namespaceId } = principal;
    await revokePortalTokens(context.store, namespaceId, body, context.now());
    // This isolate need not wait for its cache; others follow within 30 s.
    context.caches.portalTokens.deleteWhere((access) => access.namespaceId === namespaceId);
    return { status: 204 };
  },
});
