/** Usage by name: track records and debits it, check and quote ask the same function and change nothing. */
import { defaultTableAt, type Usage } from "../../../core/burn-table";
import { parseInstant } from "../../../core/instant";
import { rate } from "../../../core/price";
import { readUsage } from "../../../core/usage";
import { costView, type CostView } from "../../../core/views";
import { EVENT_BYTES_MAX } from "../../../schema/contract/events";
import { track } from "../../../schema/contract/track";
import { ratingOf } from "../../config";
import type { Context } from "../../context";
import { requireCustomer, sandboxTime, subjectOf, type Tenant } from "../../customers";
import { implement, JSON_HEADERS } from "../app";
import type { Principal } from "../auth";
import { claim, fingerprintOf } from "../idempotency";
import { invalid, Problem, refusalProblem } from "../problem";
import { mediaType, parseJson, readText } from "../read-body";
import { BadField } from "../read-events";
import { keyedEventId, readTrack } from "../read-track";
import { walletView } from "./wallets";

/** The caller's time: an event without one gets it, and a price without one is of it. */
async function timed(context: Context, principal: Principal): Promise<{ tenant: Tenant; now: number }> {
  if (principal.kind === "live") return { tenant: principal, now: context.now() };
  const now = await sandboxTime(context, principal.namespaceId);
  return { tenant: { ...principal, clockMs: now }, now };
}

export const trackRoutes = implement<typeof track>(track, {
  track: {
    async raw(ask) {
      const { context, principal, request, idempotencyKey } = ask;
      if (mediaType(request) !== "application/json") throw new Problem(415, "Content-Type must be application/json");
      const text = await readText(request, EVENT_BYTES_MAX);
      const body = parseJson(text);
      const { tenant, now } = await timed(context, principal);
      const newId = () => (idempotencyKey === null ? context.newId() : keyedEventId(idempotencyKey));
      const read = readTrack(body, newId, now);
      if (read instanceof BadField) throw invalid([{ field: read.field, message: read.message }]);
      const { event, enforce } = read;
      const customer = event.subject;
      event.subject = await subjectOf(context, tenant, customer);
      // The object compares within one customer and source; that the key came with this very body is the store's to know.
      if (idempotencyKey !== null)
        await claim({ ...ask, fingerprint: fingerprintOf(context, request, text) }, track.track);
      const eventJson = JSON.stringify(event);
      const tracked = await requireCustomer(context, tenant, customer, (object, call) =>
        object.track(call, { eventJson, enforce }),
      );
      const { eventId, duplicate, cost, wallet } = tracked;
      return new Response(JSON.stringify({ eventId, duplicate, cost, wallet: walletView(wallet) }), {
        headers: JSON_HEADERS,
      });
    },
  },

  async check({ context, principal, body }) {
    const { customer, usage, ...named } = body;
    const { tenant } = await timed(context, principal);
    if (usage === undefined) {
      const { wallet } = await requireCustomer(context, tenant, customer, (object, call) => object.wallet(call));
      const reason = ({ ACTIVE: null, EXHAUSTED: "insufficient-credits", FROZEN: "wallet-frozen" } as const)[
        wallet.status
      ];
      return { status: 200, body: { allowed: reason === null, reason, wallet: walletView(wallet) } };
    }
    requireUsage(usage);
    const usageJson = JSON.stringify({ ...named, usage });
    const { allowed, denial, cost, wallet } = await requireCustomer(context, tenant, customer, (object, call) =>
      object.check(call, usageJson),
    );
    return {
      status: 200,
      body: { allowed, reason: denial, ...(cost !== null && { cost }), wallet: walletView(wallet) },
    };
  },

  async quote({ context, principal, body }) {
    const { customer, time, ...asked } = body;
    const { usage, ...named } = asked;
    const quantities = requireUsage(usage);
    const { tenant, now } = await timed(context, principal);
    const at = (time === undefined ? null : parseInstant(time)) ?? now;
    if (customer === undefined)
      return { status: 200, body: await quoteByDefault(context, tenant, { ...named, quantities }, at) };
    const usageJson = JSON.stringify({ ...asked, time: at });
    const { cost } = await requireCustomer(context, tenant, customer, (object, call) => object.quote(call, usageJson));
    return { status: 200, body: cost };
  },
});

function requireUsage(usage: unknown) {
  const read = readUsage(usage);
  if (!read.ok) throw invalid([{ field: read.refusal.field, message: read.refusal.detail }]);
  return read.value;
}

/** Nobody's quote: by the namespace's default table. */
async function quoteByDefault(
  context: Context,
  { namespaceId, configVersion }: Tenant,
  usage: Usage,
  at: number,
): Promise<CostView> {
  const { tables, defaults, priceBook } = await ratingOf(context, namespaceId, configVersion);
  const rated = rate(tables.get(defaultTableAt(defaults, at) ?? "") ?? [], usage, at, priceBook);
  if (!rated.ok) throw refusalProblem({ ok: false, reason: "unpriced_usage", detail: rated.refusal.detail });
  return costView(rated.value);
}
