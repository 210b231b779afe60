/** The test clock of a sandbox namespace. */
import * as z from "zod";
import { instant } from "./fields";
import type { Resource } from "./route";

const clockView = z
  .object({
    now: instant,
    frozen: z.boolean().meta({ description: "false until the first PUT: it runs with the wall clock." }),
  })
  .meta({ id: "Clock" });

export const clock = {
  get: {
    method: "GET",
    path: "/api/v1/clock",
    access: "admin",
    summary: "Read the test clock",
    refusals: { 409: "`live-namespace`: it runs with the wall clock." },
    replies: { 200: { description: "The time that the namespace lives in.", schema: clockView } },
  },
  set: {
    method: "PUT",
    path: "/api/v1/clock",
    access: "admin",
    summary: "Move the test clock forward",
    description: "Every deadline up to `now` has run, in order of time over the whole namespace, before the answer.",
    body: { schema: z.strictObject({ now: instant }).meta({ id: "ClockSet" }) },
    refusals: { 409: "`live-namespace`: it runs with the wall clock." },
    replies: { 200: { description: "Moved.", schema: clockView } },
  },
} as const satisfies Resource;
