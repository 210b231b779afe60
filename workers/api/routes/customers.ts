/**
 * Customers: made, read, replaced, deleted, listed. The rows decide whose a name is; once they are there the objects are told
 * (link-customer.ts), and what could not be told at once is told by the cron.
 */
import type * as z from "zod";
import { isFiat } from "../../../core/currency";
import { formatInstant } from "../../../core/instant";
import { customers, type customerInput } from "../../../schema/contract/customers";
import {
  createCustomer,
  customerIdsAmong,
  deleteCustomer,
  findCustomer,
  listCustomers,
  updateCustomer,
  type CustomerDetails,
  type CustomerRow,
} from "../../../store/customers";
import { namesOf, ownersOf, placesOf, subjectsOf, type Names } from "../../../store/customer-subjects";
import { isRepeat } from "../../../store/idempotency";
import type { Context } from "../../context";
import { sandboxTime, type Tenant } from "../../customers";
import { chooseHome, linkCustomer, nameTaken, requireMergeable } from "../../link-customer";
import { implement } from "../app";
import type { Principal } from "../auth";
import { once } from "../idempotency";
import { invalid, notFound, Problem, tryAgain } from "../problem";

/** Others may change the same names meanwhile; people do not do so for long. */
const ATTEMPTS_MAX = 5;

const view = (row: CustomerRow, subjectKeys: readonly string[] = []) => ({
  id: row.id,
  ...(row.key !== null && { key: row.key }),
  name: row.name ?? row.key ?? row.id,
  ...(row.description !== null && { description: row.description }),
  ...(row.metadata !== null && { metadata: row.metadata }),
  ...(subjectKeys.length > 0 && { usageAttribution: { subjectKeys: [...subjectKeys] } }),
  ...(row.primaryEmail !== null && { primaryEmail: row.primaryEmail }),
  ...(row.currency !== null && { currency: row.currency }),
  ...(row.billingAddress !== null && { billingAddress: row.billingAddress }),
  createdAt: formatInstant(row.createdAt),
  updatedAt: formatInstant(row.updatedAt),
  ...(row.deletedAt !== null && { deletedAt: formatInstant(row.deletedAt) }),
});

/** As the store keeps them: each subject once, in the order in which they are shown. */
function wishesOf(body: z.output<typeof customerInput>): CustomerDetails & Names {
  const { currency = null, metadata, billingAddress } = body;
  if (currency !== null && !isFiat(currency))
    throw invalid([{ field: "currency", message: "must be a currency of ISO 4217" }]);
  return {
    name: body.name,
    description: body.description ?? null,
    primaryEmail: body.primaryEmail ?? null,
    currency,
    billingAddress: unlessEmpty(billingAddress),
    metadata: unlessEmpty(metadata),
    key: body.key ?? null,
    subjectKeys: [...new Set(body.usageAttribution?.subjectKeys)].sort(),
  };
}

function unlessEmpty(map: Record<string, string | undefined> | null | undefined): Record<string, string> | null {
  const entries = Object.entries(map ?? {}).filter((entry): entry is [string, string] => entry[1] !== undefined);
  return entries.length === 0 ? null : Object.fromEntries(entries);
}

/** The tenant at one moment: a customer is of the namespace's time, like all that it does. */
async function timed(context: Context, principal: Principal): Promise<{ tenant: Tenant; now: number }> {
  if (principal.kind === "live") return { tenant: principal, now: context.now() };
  const now = await sandboxTime(context, principal.namespaceId);
  return { tenant: { ...principal, clockMs: now }, now };
}

/** Throws when one of the names is another customer's, by what is known now. */
async function refuseTaken({ store }: Context, namespaceId: string, wished: Names, selfId: string | null) {
  const names = [...placesOf(wished).keys()];
  const [ids, owners] = await Promise.all([
    customerIdsAmong(store, namespaceId, names),
    ownersOf(store, namespaceId, names),
  ]);
  for (const id of ids)
    throw new Problem(409, `${JSON.stringify(id)} is the id of a customer`, { evidence: { conflictingEntityId: id } });
  for (const [name, customerId] of owners) if (customerId !== selfId) throw nameTaken(name, customerId);
}

async function existing({ store }: Context, namespaceId: string, idOrKey: string): Promise<CustomerRow> {
  const row = await findCustomer(store, namespaceId, idOrKey, { deleted: true });
  if (row === null) throw notFound("this customer");
  return row;
}

async function changeable(context: Context, namespaceId: string, idOrKey: string): Promise<CustomerRow> {
  const row = await existing(context, namespaceId, idOrKey);
  if (row.deletedAt !== null) throw new Problem(412, "this customer is deleted");
  return row;
}

const busy = (): Problem => tryAgain("this customer or its names are being changed by others; try again");

export const customerRoutes = implement<typeof customers>(customers, {
  async list({ context, principal, query }) {
    const { page, pageSize, includeDeleted, planKey, expand: _, ...filters } = query;
    const { namespaceId } = principal;
    // Nobody has a subscription yet.
    const { items, totalCount } =
      planKey === undefined
        ? await listCustomers(context.store, namespaceId, {
            ...filters,
            includeDeleted: includeDeleted === "true",
            offset: (page - 1) * pageSize,
            limit: pageSize,
          })
        : { items: [], totalCount: 0 };
    const ids = items.map(({ id }) => id);
    const subjects = await subjectsOf(context.store, namespaceId, ids);
    return {
      status: 200,
      body: { items: items.map((row) => view(row, subjects.get(row.id))), totalCount, page, pageSize },
    };
  },

  create: (ask) =>
    once(ask, customers.create, async (remember) => {
      const { context, principal, body } = ask;
      const { namespaceId } = principal;
      const { subjectKeys, ...wished } = wishesOf(body);
      const { tenant, now } = await timed(context, principal);
      for (let attempt = 1; attempt <= ATTEMPTS_MAX; attempt++) {
        await refuseTaken(context, namespaceId, { key: wished.key, subjectKeys }, null);
        const names = [...(wished.key === null ? [] : [wished.key]), ...subjectKeys];
        const { object, customerId } = await chooseHome(context, tenant, names);
        const row: CustomerRow = {
          ...wished,
          namespaceId,
          id: customerId,
          home: object,
          createdAt: now,
          updatedAt: now,
          deletedAt: null,
        };
        const reply = { status: 201 as const, body: view(row, subjectKeys) };
        const made = await createCustomer(context.store, row, subjectKeys, () => context.newId(), remember(reply));
        if (made.ok) {
          await linkCustomer(context, tenant, row);
          return reply;
        }
        // Somebody else took a name or the object: who that was is seen by looking again.
        if (made.refusal.reason === "violation") {
          if (isRepeat(made.refusal)) return null;
          throw new Error(`a new customer collided on ${made.refusal.table}`);
        }
      }
      throw busy();
    }),

  async get({ context, principal, params }) {
    const row = await existing(context, principal.namespaceId, params.customerIdOrKey);
    const subjects = await subjectsOf(context.store, principal.namespaceId, [row.id]);
    return { status: 200, body: view(row, subjects.get(row.id)) };
  },

  async update({ context, principal, params, body }) {
    const { namespaceId } = principal;
    const wished = wishesOf(body);
    const { tenant, now } = await timed(context, principal);
    for (let attempt = 1; attempt <= ATTEMPTS_MAX; attempt++) {
      const before = await changeable(context, namespaceId, params.customerIdOrKey);
      await refuseTaken(context, namespaceId, wished, before.id);
      const known = new Set((await namesOf(context.store, before)).map(({ subjectKey }) => subjectKey));
      const added = [...placesOf(wished).keys()].filter((name) => !known.has(name));
      await requireMergeable(context, tenant, added, before);
      const updated = await updateCustomer(context.store, before, wished, () => context.newId(), now);
      if (updated.ok) {
        await linkCustomer(context, tenant, before);
        return { status: 200, body: view(updated.value, wished.subjectKeys) };
      }
      if (updated.refusal.reason === "violation")
        throw new Error(`a changed customer collided on ${updated.refusal.table}`);
    }
    throw busy();
  },

  async delete({ context, principal, params }) {
    const { tenant, now } = await timed(context, principal);
    for (let attempt = 1; attempt <= ATTEMPTS_MAX; attempt++) {
      const before = await changeable(context, principal.namespaceId, params.customerIdOrKey);
      const deleted = await deleteCustomer(context.store, before, now);
      if (deleted.ok) {
        await linkCustomer(context, tenant, before);
        return { status: 204 };
      }
    }
    throw busy();
  },
});
