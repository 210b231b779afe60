/**
 * Portal tokens: what a customer's own browser may ask with. A token is signed, names one subject and the meters it may query, ends by
 * itself, and can be listed and revoked. The query is OpenMeter's; it is open to browsers of any origin.
 */
import * as z from "zod";
import { instant, name, resourceKey, ULID } from "./fields";
import { meterQueryStyles, query, QUERY_REFUSALS, QUERY_REPLY } from "./meters";
import type { Resource } from "./route";

const SLUGS_MAX = 100;

export const portalTokenInput = z
  .object({
    subject: name,
    expiresAt: instant.optional().meta({ description: "Default: in an hour." }),
    allowedMeterSlugs: z
      .array(z.string().min(1).max(64))
      .min(1)
      .max(SLUGS_MAX)
      .optional()
      .meta({ description: "Default: every meter." }),
  })
  .meta({ id: "PortalTokenCreate" });

export const portalTokenView = z
  .object({
    id: z.string().regex(ULID),
    subject: z.string(),
    createdAt: instant,
    expiresAt: instant,
    expired: z.boolean(),
    token: z.string().optional().meta({ description: "Shown once, when it is made." }),
    allowedMeterSlugs: z.array(z.string()).optional(),
  })
  .meta({ id: "PortalToken" });

const NO_SECRET = "This deployment has no PORTAL_SECRET; the problem says how to set one.";

export const portalTokens = {
  list: {
    method: "GET",
    path: "/api/v1/portal/tokens",
    access: "read",
    summary: "List portal tokens",
    query: z.object({ limit: z.coerce.number().int().min(1).max(100).default(25) }),
    replies: {
      200: {
        description: "A bare array, newest first, without those that were revoked. Expired ones for a month.",
        schema: z.array(portalTokenView),
      },
    },
  },
  create: {
    method: "POST",
    path: "/api/v1/portal/tokens",
    access: "write",
    summary: "Make a portal token",
    body: { schema: portalTokenInput },
    idempotency: "store",
    refusals: { 404: "There is no such meter.", 503: NO_SECRET },
    replies: { 200: { description: "Made. Keep the token: it is not shown again.", schema: portalTokenView } },
  },
  invalidate: {
    method: "POST",
    path: "/api/v1/portal/tokens/invalidate",
    access: "write",
    summary: "Revoke portal tokens, by id or by subject",
    description: "They stop within 30 s, in sandboxes at once.",
    body: {
      schema: z
        .object({ id: name.optional(), subject: name.optional() })
        .refine(({ id, subject }) => id !== undefined || subject !== undefined, "must have an id or a subject")
        .meta({ id: "PortalTokenInvalidate" }),
    },
    idempotency: "claim",
    replies: { 204: { description: "They are revoked, or never were there." } },
  },
} as const satisfies Resource;

export const portal = {
  query: {
    method: "GET",
    path: "/api/v1/portal/meters/{meterSlug}/query",
    access: "public",
    summary: "Query a meter with a portal token",
    description:
      "`Authorization: Bearer <portal token>`. The token's subject is the only one there is; `subject` and `filterCustomerId` are not read.",
    params: z.strictObject({ meterSlug: resourceKey }),
    query: query.omit({ subject: true, filterCustomerId: true }),
    queryStyles: meterQueryStyles,
    cors: true,
    refusals: {
      ...QUERY_REFUSALS,
      400: "Something in the query is wrong.",
      401: "No token, one that has expired or was revoked, or one that may not query this meter.",
      404: "There is no such meter.",
    },
    replies: QUERY_REPLY,
  },
} as const satisfies Resource;
