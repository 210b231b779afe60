/**
 * Makes the objects agree with the store about whose a name is. The rows come first (store/customer-subjects.ts) and say what must be;
 * here each name that its objects may not know the truth about is made to lead to its customer's home, or away from a former one's.
 * Every step may be repeated and starts from what the rows and the objects say now, so that a request, another one and the cron may
 * all work on a name, and whoever is left finishes it.
 */
import { objectName } from "../core/object-name";
import type { Call, ObjectIdentity } from "../durable-objects/rpc";
import { claimsOn, markLinked, unlinkedNames, unlinkedNamesOf, type Claim } from "../store/customer-subjects";
import { findCustomer, type CustomerRow } from "../store/customers";
import { abandonMerge, finishMerge, namespacesToLink, openMerges, startMerge, type Merge } from "../store/merges";
import { findNamespace } from "../store/namespaces";
import { Problem, tryAgain } from "./api/problem";
import { atOnce } from "./at-once";
import { causeOf, type Context } from "./context";
import { askObject, isRepeatable, sandboxTime, type Tenant } from "./customers";

/** As long as the caller of a change waits; what is not done by then is the cron's. */
const REQUEST_MS_MAX = 5_000;
/** A run of the cron, which comes every minute, and one namespace's share of it: a large merge must not keep the others waiting. */
const SWEEP_MS_MAX = 40_000;
const NAMESPACE_MS_MAX = 10_000;
const NAMES_AT_ONCE = 8;
const NAMES_PER_SWEEP_MAX = 1_000;
const MERGES_PER_SWEEP_MAX = 100;
const NAMESPACES_PER_SWEEP_MAX = 100;
/** Objects between a name and its home: its own, and another one where that was another customer's. */
const HOPS_MAX = 16;
/** Others may change a name while it is worked on; people do not do so for long. */
const ROUNDS_MAX = 5;
/** The platform says that a call may be repeated. */
const CALLS_MAX = 3;

interface Run {
  context: Context;
  tenant: Tenant;
  untilMs: number;
  /** Homes that know in this run whose they are, by customer id. */
  adoptions: Map<string, Promise<void>>;
}

async function newRun(context: Context, tenant: Tenant, budgetMs: number): Promise<Run> {
  // One reading of the clock for all calls.
  const timed =
    tenant.kind === "sandbox" && tenant.clockMs === undefined
      ? { ...tenant, clockMs: await sandboxTime(context, tenant.namespaceId) }
      : tenant;
  return { context, tenant: timed, untilMs: context.now() + budgetMs, adoptions: new Map() };
}

/** Links what can be linked at once, and says nothing of the rest: the rows are the truth, and the cron goes on. */
export async function linkCustomer(
  context: Context,
  tenant: Tenant,
  customer: Pick<CustomerRow, "namespaceId" | "id">,
): Promise<void> {
  const { namespaceId, id } = customer;
  try {
    const run = await newRun(context, tenant, REQUEST_MS_MAX);
    await settleAll(run, await unlinkedNamesOf(context.store, customer));
  } catch (error) {
    context.report("a customer could not be linked yet", { namespaceId, customerId: id, cause: causeOf(error) });
  } finally {
    context.caches.keys.delete(objectName(namespaceId, id, context.sha256));
  }
}

/** What requests left undone, in every namespace. */
export async function finishLinks(context: Context): Promise<void> {
  const untilMs = context.now() + SWEEP_MS_MAX;
  for (const namespaceId of await namespacesToLink(context.store, NAMESPACES_PER_SWEEP_MAX)) {
    if (context.now() >= untilMs) return;
    const namespace = await findNamespace(context.store, namespaceId);
    if (namespace === null) continue;
    const tenant: Tenant = { namespaceId, kind: namespace.kind, configVersion: namespace.configVersion };
    const run = await newRun(context, tenant, NAMESPACE_MS_MAX);
    for (const merge of await openMerges(context.store, namespaceId, MERGES_PER_SWEEP_MAX))
      await unlessItThrows(run, "a merge", () => carryOn(run, merge));
    const names = await unlinkedNames(context.store, namespaceId, NAMES_PER_SWEEP_MAX);
    await settleAll(run, [...new Set(names.map(({ name }) => name))]);
  }
}

async function settleAll(run: Run, names: readonly string[]): Promise<void> {
  await atOnce(names, NAMES_AT_ONCE, async (name) => {
    if (run.context.now() < run.untilMs) await unlessItThrows(run, "a name", () => settleName(run, name));
  });
}

async function unlessItThrows(run: Run, what: string, work: () => Promise<unknown>): Promise<void> {
  try {
    await work();
  } catch (error) {
    const { namespaceId } = run.tenant;
    run.context.report(`${what} could not be linked yet`, { namespaceId, cause: causeOf(error) });
  }
}

/** Makes a name lead where the rows say. False: something must be waited for, and the rows stay open. */
async function settleName(run: Run, name: string): Promise<boolean> {
  const { context, tenant } = run;
  const { store } = context;
  for (let round = 1; round <= ROUNDS_MAX; round++) {
    const { owner, former } = await claimsOn(store, tenant.namespaceId, name);
    context.caches.homes.delete(ownObject(run, name));
    for (const claim of former) {
      if (claim.home !== owner?.home && !(await takeAway(run, name, claim))) return false;
    }
    if (owner !== null && !(await bringHome(run, name, owner))) return false;
    // Whoever changed the name meanwhile may have finished before what was done here: then once more, by what holds now.
    const after = await claimsOn(store, tenant.namespaceId, name);
    if (!isSame(owner, after.owner)) continue;
    await markLinked(store, tenant.namespaceId, name, owner === null ? former : [owner, ...former], context.now());
    return true;
  }
  return false;
}

const isSame = (a: Claim | null, b: Claim | null): boolean =>
  a?.customerId === b?.customerId && a?.createdAt === b?.createdAt && a?.customerKey === b?.customerKey;

// ---- Away

/** From now on the name leads to an object of its own, and what it brought stays. False: its data is on its way, and must arrive first. */
async function takeAway(
  run: Run,
  name: string,
  { home, customerId }: Pick<Claim, "home" | "customerId">,
): Promise<boolean> {
  const next = await stepTowards(run, name, home);
  if (next !== null) {
    const own = ownObject(run, name);
    const unlinked = await call(run, own, name, (object, by) => object.unlink(by, own, next));
    if (!unlinked.ok) return waitFor(unlinked, "unlink");
  }
  const released = await askObject(run.context, run.tenant, { object: home, customerId }, (object, by) =>
    object.release(by, [name]),
  );
  if (released === null) throw new Error("a home has moved");
  if (!released.ok) throw new Error(`a home refused to release a name: ${JSON.stringify(released)}`);
  return true;
}

/** Where the name's own object sends it, if that leads to `home`; null: it does not, or it is `home` itself. */
async function stepTowards(run: Run, name: string, home: string): Promise<string | null> {
  let first: string | null = null;
  let target = ownObject(run, name);
  for (let hop = 0; hop < HOPS_MAX; hop++) {
    if (target === home) return first;
    const asked = await call(run, target, name, (object, by) => object.identify(by));
    if (asked.ok || !("home" in asked)) return null;
    target = asked.home;
    first ??= target;
  }
  throw new Error(`the name ${JSON.stringify(name)} leads nowhere`);
}

// ---- Home

/** From now on the name leads to its customer's home, and so does what was recorded under it. False: that is still on its way. */
async function bringHome(run: Run, name: string, owner: Claim): Promise<boolean> {
  await adoptOnce(run, owner);
  const { customerId, customerKey, home } = owner;
  const owned = await askObject(run.context, run.tenant, { object: home, customerId }, (object, by) =>
    object.own(by, { names: [name], key: customerKey }),
  );
  if (owned === null || !owned.ok) throw new Error(`a home refused a name: ${JSON.stringify(owned)}`);
  // Where it led while it was nobody's, or another's, there may be data by now.
  const before = owned.before[name];
  const pointed = await point(run, name, ownObject(run, name), owner);
  return pointed && (before === undefined || point(run, name, before, owner));
}

function adoptOnce(run: Run, { customerId, customerKey: key, home }: Claim): Promise<void> {
  const known = run.adoptions.get(customerId);
  if (known !== undefined) return known;
  const adoption = askObject(run.context, run.tenant, { object: home, customerId }, (object, by) =>
    object.adopt(by, { customerId, key }),
  ).then((adopted) => {
    if (adopted === null || !adopted.ok || adopted.customerId !== customerId)
      throw new Error(`a home is not its customer's: ${JSON.stringify(adopted)}`);
  });
  run.adoptions.set(customerId, adoption);
  return adoption;
}

/** Makes the object at the end of this name's way, from `start` on, point at the owner's home. */
async function point(run: Run, name: string, start: string, owner: Claim): Promise<boolean> {
  const { home } = owner;
  let target = start;
  for (let hop = 0; hop < HOPS_MAX; hop++) {
    if (target === home) return true;
    const linked = await call(run, target, name, (object, by) => object.linkTo(by, home));
    if (linked.ok) return true;
    if (linked.reason === "moved") {
      target = linked.home;
    } else if (linked.reason === "has_data") {
      const stranger = await namedCustomerOf(run, target, name);
      if (stranger === null || stranger.id === owner.customerId) return merge(run, { source: target, home });
      // Another customer's home, which does not know yet that the name was taken from it.
      if (!(await takeAway(run, name, { home: target, customerId: stranger.id }))) return false;
      target = start;
    } else return waitFor(linked, "linkTo");
  }
  throw new Error(`the name ${JSON.stringify(name)} leads nowhere`);
}

/** The customer that the API made, or changed, of this object. */
async function namedCustomerOf(run: Run, object: string, name: string): Promise<CustomerRow | null> {
  const asked = await call(run, object, name, (stub, by) => stub.identify(by));
  if (!asked.ok || asked.identity === null) return null;
  const { customerId } = asked.identity;
  const customer = await findCustomer(run.context.store, run.tenant.namespaceId, customerId, { deleted: true });
  return customer?.id === customerId && customer.name !== null ? customer : null;
}

// ---- Merges

async function merge(run: Run, { source, home }: Omit<Merge, "id">): Promise<boolean> {
  const { context, tenant } = run;
  const started = await startMerge(context.store, tenant.namespaceId, { source, home }, context.now());
  return (await carryOn(run, started)) && started.home === home;
}

/** Moves as much as there is time for. True: all of it is there. */
async function carryOn(run: Run, { id, source, home }: Merge): Promise<boolean> {
  const { context, tenant } = run;
  for (;;) {
    const merged = await call(run, source, "", (object, by) => object.mergeInto(by, { id, home }));
    if (!merged.ok) {
      if (merged.reason === "moved") break;
      if (merged.reason === "merging" || merged.reason === "stale_config") return waitFor(merged, "mergeInto");
      // Nothing was moved: the object stays as it is, and so does what leads to it, until somebody changes the names.
      await abandonMerge(context.store, tenant.namespaceId, id);
      throw new Error(`an object cannot be merged: ${JSON.stringify(merged)}`);
    }
    if (merged.done) break;
    if (merged.moved === 0 || context.now() >= run.untilMs) return false;
  }
  await finishMerge(context.store, tenant.namespaceId, id, context.now());
  return true;
}

// ---- Before a customer is made or changed

export interface Home {
  /** The object's name. */
  object: string;
  customerId: string;
}

/**
 * Which object becomes the home of a customer with these names, the key first, and under which id: the first that has data, whose id is
 * kept; else the first. Its id is certain when this returns.
 */
export async function chooseHome(context: Context, tenant: Tenant, names: readonly string[]): Promise<Home> {
  const run = await newRun(context, tenant, REQUEST_MS_MAX);
  const ends = await endsOf(run, names, null);
  requireOneCurrency(ends);
  const name = names.find((each) => ends.get(each)!.identity !== null) ?? names[0]!;
  const { object } = ends.get(name)!;
  const reserved = await call(run, object, name, (stub, by) => stub.reserve(by, context.newId()));
  if (!reserved.ok) throw tryAgain("this name is changing hands; try again");
  return { object, customerId: reserved.identity.customerId };
}

/** Whether these names may become this customer's. Throws what its caller is to know. */
export async function requireMergeable(
  context: Context,
  tenant: Tenant,
  names: readonly string[],
  customer: CustomerRow,
): Promise<void> {
  if (names.length === 0) return;
  const run = await newRun(context, tenant, REQUEST_MS_MAX);
  const ends = await endsOf(run, names, customer);
  const home = await call(run, customer.home, customer.id, (object, by) => object.identify(by));
  requireOneCurrency(new Map([...ends, ["", { object: customer.home, identity: home.ok ? home.identity : null }]]));
}

interface End {
  object: string;
  identity: ObjectIdentity | null;
}

/** Where each of these names leads; none of them to another customer of the API. */
async function endsOf(run: Run, names: readonly string[], self: CustomerRow | null): Promise<Map<string, End>> {
  const ends = new Map<string, End>();
  await atOnce(names, NAMES_AT_ONCE, async (name) => {
    for (let round = 1; round <= ROUNDS_MAX; round++) {
      const end = await endOf(run, name);
      const stranger = end.identity === null ? null : await namedCustomerOf(run, end.object, name);
      if (stranger === null || stranger.id === self?.id) return void ends.set(name, end);
      await refuseOwned(run, name, self);
      // A former owner's home, which has not been told.
      if (!(await takeAway(run, name, { home: end.object, customerId: stranger.id }))) break;
      // Unless it became somebody's in this very moment, who must be told again.
      await refuseOwned(run, name, self, () => settleName(run, name));
    }
    throw tryAgain(`the name ${JSON.stringify(name)} is changing hands; try again`);
  });
  return ends;
}

async function refuseOwned(
  { context, tenant }: Run,
  name: string,
  self: CustomerRow | null,
  before: () => Promise<unknown> = async () => {},
): Promise<void> {
  const { owner } = await claimsOn(context.store, tenant.namespaceId, name);
  if (owner === null || owner.customerId === self?.id) return;
  await before();
  throw nameTaken(name, owner.customerId);
}

export const nameTaken = (name: string, customerId: string): Problem =>
  new Problem(409, `${JSON.stringify(name)} is the key or a subject of another customer`, {
    evidence: { conflictingEntityId: customerId },
  });

async function endOf(run: Run, name: string): Promise<End> {
  let object = ownObject(run, name);
  for (let hop = 0; hop < HOPS_MAX; hop++) {
    const target = object;
    const asked = await call(run, target, name, (stub, by) => stub.identify(by));
    if (asked.ok) return { object, identity: asked.identity };
    if (asked.reason !== "moved") break;
    object = asked.home;
  }
  throw tryAgain(`the name ${JSON.stringify(name)} is changing hands; try again`);
}

/** Wallets in different currencies never become one. */
function requireOneCurrency(ends: ReadonlyMap<string, End>): void {
  const currencies = new Set(
    [...ends.values()].flatMap(({ identity }) => (identity?.moved ? [identity.currency] : [])),
  );
  if (currencies.size <= 1) return;
  throw new Problem(
    422,
    `wallets under these names hold ${[...currencies].join(" and ")}; a customer has one wallet, in one currency`,
    { code: "currency-mismatch", evidence: { currencies: [...currencies] } },
  );
}

// ---- Calls

const ownObject = ({ context, tenant }: Run, name: string): string =>
  objectName(tenant.namespaceId, name, context.sha256);

type Stub = ReturnType<Context["customer"]>;

/** Asks this very object, on behalf of a name, and follows nothing. */
async function call<T>(
  { context, tenant }: Run,
  object: string,
  name: string,
  operation: (stub: Stub, by: Call) => Promise<T>,
): Promise<T> {
  const { namespaceId, clockMs } = tenant;
  if (!object.startsWith(`${namespaceId}/`)) throw new Error("an object led out of its namespace");
  // Who an object is and what leads to it is no matter of the configuration.
  const by: Call = { namespaceId, name, configVersion: 0, ...(clockMs !== undefined && { clockMs }) };
  for (let attempt = 1; ; attempt++) {
    try {
      return await operation(context.customer(object), by);
    } catch (error) {
      if (!isRepeatable(error) || attempt === CALLS_MAX) throw error;
    }
  }
}

function waitFor(answer: { reason: string }, what: string): false {
  if (answer.reason !== "merging") throw new Error(`${what} was answered ${JSON.stringify(answer)}`);
  return false;
}
