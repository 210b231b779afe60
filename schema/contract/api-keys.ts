/** API keys: scoped, stored hashed, shown once, rotated with an overlap. */
import * as z from "zod";
import { duration, instant, listOf, name, pageBy, ULID, ulid } from "./fields";
import { SCOPES, type Resource } from "./route";

const scopes = z.array(z.enum(SCOPES)).min(1).max(SCOPES.length);

export const apiKeyView = z
  .object({
    id: ulid,
    name: z.string(),
    prefix: z.string().meta({ description: "The key's first characters, to recognise it by." }),
    scopes: z.array(z.enum(SCOPES)),
    createdAt: instant,
    expiresAt: instant.nullable(),
    lastUsedAt: instant.nullable().meta({ description: "To within 5 minutes." }),
  })
  .meta({ id: "ApiKey" });

const created = apiKeyView
  .extend({ key: z.string().meta({ description: "Shown only here." }) })
  .meta({ id: "ApiKeyCreated" });
const keyParam = z.strictObject({ id: name });

export const apiKeys = {
  list: {
    method: "GET",
    path: "/api/v1/api-keys",
    access: "admin",
    summary: "List API keys",
    query: pageBy(ULID),
    replies: { 200: { description: "Newest first, without those that were revoked.", schema: listOf(apiKeyView) } },
  },
  create: {
    method: "POST",
    path: "/api/v1/api-keys",
    access: "admin",
    summary: "Make an API key",
    body: {
      schema: z
        .strictObject({ name: z.string().min(1).max(128), scopes, expiresAt: instant.nullable().optional() })
        .meta({ id: "ApiKeyCreate" }),
    },
    idempotency: "store",
    replies: { 201: { description: "Made.", schema: created } },
  },
  revoke: {
    method: "DELETE",
    path: "/api/v1/api-keys/{id}",
    access: "admin",
    summary: "Revoke an API key",
    description: "It stops within 30 s; in a sandbox at once.",
    params: keyParam,
    replies: { 204: { description: "Revoked." } },
  },
  rotate: {
    method: "POST",
    path: "/api/v1/api-keys/{id}/rotate",
    access: "admin",
    summary: "Replace an API key",
    description: "The new key has the old one's name, scopes and expiry; the old key lives on through `overlap`.",
    params: keyParam,
    body: { schema: z.strictObject({ overlap: duration }).meta({ id: "ApiKeyRotate" }) },
    idempotency: "store",
    refusals: { 409: "It was rotated before or has expired; `idempotency-conflict`." },
    replies: { 200: { description: "Replaced.", schema: created } },
  },
} as const satisfies Resource;
