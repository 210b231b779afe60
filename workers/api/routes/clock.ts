/** The test clock of a sandbox namespace. */
import { formatInstant, parseInstant } from "../../../core/instant";
import { assert } from "../../../core/result";
import { clock } from "../../../schema/contract/clock";
import { implement } from "../app";
import type { Principal } from "../auth";
import { Problem, tryAgain } from "../problem";

function requireSandbox({ kind }: Principal): void {
  if (kind !== "sandbox") {
    throw new Problem(409, "a live namespace runs with the wall clock; make a sandbox namespace to move time", {
      code: "live-namespace",
    });
  }
}

export const clockRoutes = implement<typeof clock>(clock, {
  async get({ context, principal }) {
    requireSandbox(principal);
    const frozen = await context.clock(principal.namespaceId).now();
    return { status: 200, body: { now: formatInstant(frozen ?? context.now()), frozen: frozen !== null } };
  },

  async set({ context, principal, body }) {
    requireSandbox(principal);
    const now = parseInstant(body.now);
    assert(now !== null, "the contract lets only instants through");
    const advanced = await context.clock(principal.namespaceId).advance(now);
    if (!advanced.ok) {
      if (advanced.reason === "not_settled")
        throw tryAgain("a deadline on the way could not be run, and the clock stays where it was; send the same again");
      const at = formatInstant(advanced.now);
      throw new Problem(400, `the clock stands at ${at} and moves forward only`, {
        code: "clock-moved-back",
        evidence: { now: at },
      });
    }
    return { status: 200, body: { now: formatInstant(now), frozen: true } };
  },
});
