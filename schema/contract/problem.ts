/** The one shape of every refusal: RFC 9457. `type` is stable wherever a program must tell one case from another. */
import * as z from "zod";

export const PROBLEM_BASE = "https://tollgate.dev/problems/";

/** Every code there is. A program may switch on `PROBLEM_BASE + code`; adding one is a change of the contract. */
export const PROBLEM_CODES = [
  "insufficient-credits",
  "unpriced-usage",
  "wallet-frozen",
  "currency-mismatch",
  "idempotency-conflict",
  "unknown-customer",
  "unknown-grant",
  "unknown-event",
  "already-voided",
  "folding",
  "grant-closed",
  "unknown-burn-table",
  "at-bound",
  "missing-scope",
  "clock-moved-back",
  "live-namespace",
  "try-again",
  "overloaded",
] as const;
export type ProblemCode = (typeof PROBLEM_CODES)[number];

const validationError = z.object({
  field: z.string().meta({ description: "Where: a path into the body, or the parameter's name." }),
  message: z.string(),
  index: z.number().int().optional().meta({ description: "Which event of the batch." }),
});

export const problem = z
  .looseObject({
    type: z.string(),
    title: z.string(),
    status: z.number().int(),
    detail: z.string(),
    instance: z.string().meta({ description: "`urn:request:<id>`: quote it when you ask for help." }),
    extensions: z
      .looseObject({ validationErrors: z.array(validationError).optional() })
      .optional()
      .meta({ description: "The evidence; also present as members of the problem itself." }),
  })
  .meta({ id: "Problem" });
