/** Namespaces: one per tenant of a deployment, live or sandbox. The operator's key only. */
import * as z from "zod";
import { instant, listOf, name, pageBy, slug, ULID, ulid } from "./fields";
import type { Resource } from "./route";

const kind = z.enum(["live", "sandbox"]);

export const namespaceView = z
  .object({ id: ulid, key: z.string(), kind, createdAt: instant })
  .meta({ id: "Namespace" });

export const namespaces = {
  create: {
    method: "POST",
    path: "/api/v1/namespaces",
    access: "operator",
    summary: "Open a namespace",
    description: "The answer carries its first API key, with all scopes, and is the only place that shows it.",
    body: { schema: z.strictObject({ key: slug, kind }).meta({ id: "NamespaceCreate" }) },
    idempotency: "store",
    refusals: { 409: "The key is taken; `idempotency-conflict`." },
    replies: {
      201: {
        description: "Opened.",
        schema: namespaceView.extend({ apiKey: z.string() }).meta({ id: "NamespaceCreated" }),
      },
    },
  },
  list: {
    method: "GET",
    path: "/api/v1/namespaces",
    access: "operator",
    summary: "List namespaces",
    query: pageBy(ULID),
    replies: { 200: { description: "Newest first, without those that are closed.", schema: listOf(namespaceView) } },
  },
  close: {
    method: "DELETE",
    path: "/api/v1/namespaces/{idOrKey}",
    access: "operator",
    summary: "Close a namespace",
    description: "Its keys stop within 30 s. Its data stays.",
    params: z.strictObject({ idOrKey: name }),
    replies: { 204: { description: "Closed." } },
  },
} as const satisfies Resource;
