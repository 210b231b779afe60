/** What anybody may read. */
import * as z from "zod";
import type { Resource } from "./route";

export const system = {
  health: {
    method: "GET",
    path: "/healthz",
    access: "public",
    summary: "Is it ready?",
    description: "503 until the database answers and is migrated.",
    replies: { 200: { description: "Yes.", schema: z.object({ status: z.literal("ok") }) } },
  },
  openapi: {
    method: "GET",
    path: "/openapi.json",
    access: "public",
    summary: "This document",
    replies: { 200: { description: "OpenAPI 3.1.", schema: z.looseObject({ openapi: z.string() }) } },
  },
  docs: {
    method: "GET",
    path: "/docs",
    access: "public",
    summary: "This document, to browse",
    replies: { 200: { description: "A page that needs nothing from elsewhere.", contentType: "text/html" } },
  },
  docsFile: {
    method: "GET",
    path: "/docs/{file}",
    access: "public",
    summary: "A file of that page",
    params: z.strictObject({ file: z.string() }),
    replies: { 200: { description: "Script or style.", contentType: "text/javascript" } },
  },
} as const satisfies Resource;
