/**
 * Facts in. A batch is grouped by customer; each customer's object commits its part, at most OBJECTS_AT_ONCE at a time, and 204
 * means that all of them did. What an object cannot take now overflows into the spill queue, where that is declared (202);
 * otherwise 503, and sending the same batch again is harmless.
 */
import { parseInstant } from "../../../core/instant";
import type { Refusal } from "../../../durable-objects/rpc";
import { EVENT_CONTENT_TYPES, EVENTS_BODY_BYTES_MAX, events } from "../../../schema/contract/events";
import { listUnrated } from "../../../store/attention";
import { atOnce } from "../../at-once";
import { causeOf, type Context } from "../../context";
import { askCustomer, isOverloaded, requireCustomer, sandboxTime, type Tenant } from "../../customers";
import { drained } from "../../drain";
import { canSpill, spill, spillable } from "../../queue/spill";
import { implement } from "../app";
import { callsOf } from "../event-parts";
import { claim, fingerprintOf } from "../idempotency";
import { invalid, overloaded, Problem, refusalProblem, tryAgain } from "../problem";
import { readJson, readText } from "../read-body";
import { readEvents, type Part } from "../read-events";

/** A Worker holds six connections to the outside at once, but object calls are not among them; this bounds memory and fairness. */
const OBJECTS_AT_ONCE = 16;
/** Past it a batch would keep its caller waiting for seconds. */
const CUSTOMERS_PER_CALL_MAX = 200;
/** Customers whose unrated events one call prices, and slices of one customer: the rest is for the next call. */
const RATED_CUSTOMERS_MAX = 200;
const RATED_SLICES_MAX = 50;

export const eventRoutes = implement<typeof events>(events, {
  ingest: {
    async raw(ask) {
      const { context, principal, request } = ask;
      const shape =
        EVENT_CONTENT_TYPES[(request.headers.get("content-type") ?? "") as keyof typeof EVENT_CONTENT_TYPES];
      if (shape === undefined) {
        throw new Problem(
          400,
          `invalid content type: it must be exactly ${Object.keys(EVENT_CONTENT_TYPES).join(", or ")}`,
        );
      }
      const text = await readText(request, EVENTS_BODY_BYTES_MAX);
      const clockMs = principal.kind === "sandbox" ? await sandboxTime(context, principal.namespaceId) : undefined;
      const json = readJson(text);
      const read = readEvents(json.value, shape, clockMs ?? context.now(), text.length);
      if (!read.ok) throw invalid([read.refusal]);
      if (ask.idempotencyKey !== null) {
        await claim({ ...ask, fingerprint: fingerprintOf(context, request, text) }, events.ingest);
      }
      const tenant: Tenant = clockMs === undefined ? principal : { ...principal, clockMs };
      return recordParts(context, tenant, read.value, json.plain, prefersAsync(request));
    },
  },

  async rate({ context, principal, body }) {
    const range = { from: parseInstant(body.from ?? ""), to: parseInstant(body.to ?? "") };
    if (body.customer !== undefined)
      return { status: 200, body: await rateCustomer(context, principal, body.customer, range) };
    const customers = await listUnrated(context.store, principal.namespaceId, {
      afterId: null,
      limit: RATED_CUSTOMERS_MAX,
    });
    const total = { rated: 0, remaining: 0 };
    await atOnce(customers, OBJECTS_AT_ONCE, async ({ customerId }) => {
      const { rated, remaining } = await rateCustomer(context, principal, customerId, range);
      total.rated += rated;
      total.remaining += remaining;
    });
    return { status: 200, body: total };
  },
});

/** 204: all of it is durable and counted; 202: it is in the overflow queue, because `asked`, or because it is too much for one call. */
export async function recordParts(
  context: Context,
  tenant: Tenant,
  parts: readonly Part[],
  plain: boolean,
  asked = false,
): Promise<Response> {
  if (!canSpill(context) || !(asked || parts.length > CUSTOMERS_PER_CALL_MAX))
    return record(context, tenant, parts, plain);
  const { messages, left } = spillable(context, tenant, parts);
  await spill(context, messages);
  await record(context, tenant, left, plain);
  return new Response(null, { status: 202, headers: asked ? { "preference-applied": "respond-async" } : {} });
}

/** RFC 7240, as far as one token needs it. */
const prefersAsync = (request: Request): boolean =>
  (request.headers.get("prefer") ?? "").split(/[,;]/).some((token) => token.trim().toLowerCase() === "respond-async");

/** How a part ended that did not end well. */
interface Failure {
  part: Part;
  overloaded: boolean;
  refusal: Refusal | null;
}

async function record(context: Context, tenant: Tenant, parts: readonly Part[], plain: boolean): Promise<Response> {
  const failures: Failure[] = [];
  const [only] = parts;
  if (parts.length === 1 && only !== undefined) await recordPart(context, tenant, only, plain, failures);
  else await atOnce(parts, OBJECTS_AT_ONCE, (part) => recordPart(context, tenant, part, plain, failures));
  if (failures.length === 0) return new Response(null, { status: 204 });

  if (canSpill(context) && failures.every(({ overloaded }) => overloaded)) {
    const { messages, left } = spillable(
      context,
      tenant,
      failures.map(({ part }) => part),
    );
    if (left.length === 0) {
      await spill(context, messages);
      return new Response(null, { status: 202 });
    }
  }
  const evidence = { failedCustomers: new Set(failures.map(({ part }) => part.subject)).size };
  if (failures.every((failure) => failure.overloaded)) {
    throw overloaded(
      "these customers are receiving more calls than they can take; slow down and send the same batch again",
      evidence,
    );
  }
  if (failures.some(({ refusal }) => refusal === null)) {
    throw tryAgain(
      "some of these events could not be recorded; send the same batch again, what is recorded already stays as it is",
      evidence,
    );
  }
  throw refusalProblem(failures[0]!.refusal!);
}

async function recordPart(
  context: Context,
  tenant: Tenant,
  part: Part,
  plain: boolean,
  failures: Failure[],
): Promise<void> {
  for (const eventsJson of callsOf(part)) {
    try {
      const answer = await askCustomer(context, tenant, part.subject, (object, call) =>
        object.record(call, eventsJson, plain),
      );
      if (answer.ok) continue;
      failures.push({ part, overloaded: false, refusal: answer });
    } catch (error) {
      const overloaded = isOverloaded(error);
      if (!overloaded && !(error instanceof Problem))
        context.report("events could not be recorded", { cause: causeOf(error) });
      failures.push({ part, overloaded, refusal: null });
    }
    return;
  }
}

async function rateCustomer(
  context: Context,
  tenant: Tenant,
  name: string,
  range: { from: number | null; to: number | null },
): Promise<{ rated: number; remaining: number }> {
  const total = { rated: 0, remaining: 0 };
  let after: string | null = null;
  for (let slice = 0; slice < RATED_SLICES_MAX; slice++) {
    const cursor: string | null = after;
    const answer: { rated: number; remaining: number; next: string | null } = await requireCustomer(
      context,
      tenant,
      name,
      drained(context, (object, call) => object.rateUnrated(call, { ...range, after: cursor })),
    );
    total.rated += answer.rated;
    total.remaining = answer.remaining;
    if (answer.next === null) break;
    after = answer.next;
  }
  return total;
}
