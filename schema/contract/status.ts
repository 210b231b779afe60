/** How the deployment is doing: for the operator's eyes and alarms. */
import * as z from "zod";
import type { Resource } from "./route";

export const status = {
  get: {
    method: "GET",
    path: "/api/v1/status",
    access: "admin",
    summary: "What waits, and what is near a bound",
    replies: {
      200: {
        description: "As the shared store knows it.",
        schema: z
          .object({
            configVersion: z.number().int().meta({ description: "The newest published configuration." }),
            staleConfiguration: z
              .boolean()
              .meta({ description: "This isolate still works with an older one; it learns within 30 s." }),
            customers: z.number().int().meta({ description: "Customer objects that the store has heard of." }),
            events: z.number().int().meta({ description: "Events in them." }),
            outbox: z
              .object({
                checked: z.number().int().meta({ description: "Customers asked: those that the store heard of last." }),
                oldestSeconds: z
                  .number()
                  .nullable()
                  .meta({ description: "How long their oldest unsent totals wait; null: nothing waits." }),
              })
              .meta({ description: "Totals on their way from the objects to the store." }),
            unrated: z.number().int().meta({ description: "Debitable events that no rule prices yet." }),
            deadLetters: z.number().int().meta({ description: "Waiting to be replayed." }),
            spill: z.enum(["on", "off"]).meta({ description: "off in local mode: overflow answers 503 instead." }),
            nearBound: z
              .array(z.object({ customer: z.string(), events: z.number().int(), eventsMax: z.number().int() }))
              .meta({
                description: "Customers past 80 % of what one object may hold, the fullest first; at most 100.",
              }),
          })
          .meta({ id: "Status" }),
      },
    },
  },
} as const satisfies Resource;
