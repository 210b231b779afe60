/** What a monitor scrapes to see that events arrive. */
import * as z from "zod";
import type { Resource } from "./route";

export const debug = {
  metrics: {
    method: "GET",
    path: "/api/v1/debug/metrics",
    access: "read",
    summary: "Events accepted today, by subject",
    description:
      "`openmeter_events_total{subject}`: since midnight in UTC, some 2 s behind. A customer's subjects past the first hundred of the day are counted together, with an empty subject.",
    replies: { 200: { description: "OpenMetrics.", schema: z.string(), contentType: "text/plain" } },
  },
} as const satisfies Resource;
