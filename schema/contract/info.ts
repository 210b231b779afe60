/** What a caller may look up beside its own data: how far a long query is, and which currencies there are. */
import * as z from "zod";
import { instant, name } from "./fields";
import type { Resource } from "./route";

export const info = {
  currencies: {
    method: "GET",
    path: "/api/v1/info/currencies",
    access: "read",
    summary: "List the currencies of ISO 4217",
    replies: {
      200: {
        description: "A bare array, by code.",
        schema: z.array(
          z
            .object({
              code: z.string(),
              name: z.string(),
              symbol: z.string(),
              subunits: z.number().int().meta({ description: "Digits after the point of an amount." }),
            })
            .meta({ id: "Currency" }),
        ),
      },
    },
  },
  progress: {
    method: "GET",
    path: "/api/v1/info/progress/{id}",
    access: "read",
    summary: "How far a query is",
    description: "A query's `clientId`. Known while it runs and for five minutes after its last step.",
    params: z.strictObject({ id: name.max(36) }),
    replies: {
      200: {
        description: "The customers whose usage is added up, and those still to come.",
        schema: z
          .object({ success: z.number().int(), failed: z.number().int(), total: z.number().int(), updatedAt: instant })
          .meta({ id: "Progress" }),
      },
    },
  },
} as const satisfies Resource;
