/**
 * Lists of events. Those of given subjects or customers are asked of their objects, which know the event acknowledged a moment ago.
 * Those of the whole namespace come from the archive, and from the objects that hold what is not archived yet, as long as those are few.
 * Every list comes in one order (core/event-listing.ts), so a page may end on one road and the next begin on the other.
 */
import {
  cloudEventJson,
  compareKeys,
  validationErrorOf,
  type EventKey,
  type EventQuery,
  type ListedEvent,
} from "../core/event-listing";
import { customersOfObjects, listUnarchived } from "../store/archive";
import { homesOfSubject } from "../store/customer-subjects";
import { Problem, refusalProblem } from "./api/problem";
import { readArchive, type ArchivedEvents } from "./archive/read";
import { atOnce } from "./at-once";
import { metersOf } from "./config";
import type { Context } from "./context";
import { askCustomer, askObject, type Answered, type Operation, type Tenant } from "./customers";

/** Objects that one list asks. */
const OBJECTS_ASKED_MAX = 200;
/** Objects with events that are not archived yet. Past it a list of the namespace is as old as the archive: some ten seconds. */
export const UNARCHIVED_ASKED_MAX = 64;
const OBJECTS_AT_ONCE = 16;
/** Calls of one object for one page: a filter that lets few events through makes it read many. */
const CALLS_PER_OBJECT_MAX = 100;

/** Whose events; null: everybody's. */
export type ListedOf = { subjects: readonly string[] } | { customerIds: readonly string[] } | null;

export interface EventPage {
  items: ListedEvent[];
  /** Where to go on; null: there are no more. Before the page is full, too: so much was read without finding more. */
  next: EventKey | null;
}

/** What one place knows of the list. */
interface Share {
  items: ListedEvent[];
  /** All of its events up to this place of the order are in `items`; null: all of them. */
  until: EventKey | null;
}

type Listing = { items: ListedEvent[]; resume: string | null };
type Ask = (operation: Operation<Listing>) => Promise<Answered<Listing> | null>;

export async function listEvents(
  context: Context,
  tenant: Tenant,
  of: ListedOf,
  query: EventQuery,
): Promise<EventPage> {
  let shares: Share[];
  if (of === null) shares = await ofNamespace(context, tenant, query);
  else if ("subjects" in of) shares = await ofSubjects(context, tenant, of.subjects, query);
  else shares = await ofCustomers(context, tenant, of.customerIds, query);
  return pageOf(shares, query);
}

/** The first events of all shares, as far as every share knows. */
function pageOf(shares: readonly Share[], { limit, after }: EventQuery): EventPage {
  const untils = shares.flatMap(({ until }) => until ?? []).sort(compareKeys);
  const until = untils[0] ?? null;
  const known = new Map<string, ListedEvent>();
  for (const item of shares.flatMap(({ items }) => items)) {
    if (until === null || compareKeys(item.key, until) <= 0) known.set(JSON.stringify(item.key), item);
  }
  const items = [...known.values()].sort((a, b) => compareKeys(a.key, b.key)).slice(0, limit);
  if (items.length === limit) return { items, next: items.at(-1)!.key };
  if (until !== null && after !== null && compareKeys(until, after) <= 0) throw tooMuch();
  return { items, next: until };
}

export const tooMuch = (): Problem =>
  new Problem(
    422,
    "too many events would have to be read to find those asked for; ask for less time, or for subjects or customers",
    { code: "at-bound" },
  );

// ---- From objects

async function ofSubjects(
  context: Context,
  tenant: Tenant,
  subjects: readonly string[],
  query: EventQuery,
): Promise<Share[]> {
  const shares: Share[] = [];
  let asked = 0;
  await atOnce(subjects, OBJECTS_AT_ONCE, async (subject) => {
    const own: EventQuery = { ...query, subject: { $eq: subject } };
    const homes = await homesOfSubject(context.store, tenant.namespaceId, subject);
    asked += 1 + homes.length;
    if (asked > OBJECTS_ASKED_MAX) throw tooMuch();
    let target = "";
    shares.push(
      ...(await share(own, (operation) =>
        askCustomer(context, tenant, subject, (object, call, at) => {
          target = at;
          return operation(object, call, at);
        }),
      )),
    );
    // Customers that had the subject before keep what it used then.
    for (const home of homes.filter(({ object }) => object !== target))
      shares.push(...(await share(own, (operation) => askObject(context, tenant, home, operation))));
  });
  return shares;
}

async function ofCustomers(
  context: Context,
  tenant: Tenant,
  customerIds: readonly string[],
  query: EventQuery,
): Promise<Share[]> {
  const shares: Share[] = [];
  await atOnce(customerIds, OBJECTS_AT_ONCE, async (id) => {
    const found = await share(query, (operation) => askCustomer(context, tenant, id, operation));
    // An id that leads to a subject without a customer is no customer's.
    for (const { items, until } of found)
      shares.push({ items: items.filter(({ customerId }) => customerId === id), until });
  });
  return shares;
}

/** What an object knows, asked again while it has more to read; none: another object speaks for it. */
async function share(query: EventQuery, ask: Ask): Promise<Share[]> {
  const items: ListedEvent[] = [];
  let resume: string | null = null;
  for (let call = 0; call < CALLS_PER_OBJECT_MAX; call++) {
    const rest: EventQuery = { ...query, resume, limit: query.limit - items.length };
    const answer = await ask((object, by) => object.listEvents(by, rest));
    if (answer === null) return [];
    if (!answer.ok) throw refusalProblem(answer);
    items.push(...answer.items);
    resume = answer.resume;
    if (resume === null || items.length >= query.limit) return [{ items, until: null }];
  }
  const last = items.at(-1);
  if (last === undefined) throw tooMuch();
  return [{ items, until: last.key }];
}

// ---- From the archive

async function ofNamespace(context: Context, tenant: Tenant, query: EventQuery): Promise<Share[]> {
  const { namespaceId } = tenant;
  const unarchived = await listUnarchived(context.store, namespaceId, UNARCHIVED_ASKED_MAX + 1);
  const asked = unarchived.length > UNARCHIVED_ASKED_MAX ? [] : unarchived;
  const shares: Share[] = [];
  const speaking = new Set<string>();
  await atOnce(asked, OBJECTS_AT_ONCE, async (object) => {
    const found = await share(query, (operation) => askObject(context, tenant, object, operation));
    shares.push(...found);
    if (found.length > 0) speaking.add(object.object);
  });
  const archived = await readArchive(context, namespaceId, query, (object) => speaking.has(object));
  shares.push(await listed(context, tenant, archived, speaking));
  return shares;
}

/** Archived events as their objects would list them: whose they are is as of now. */
async function listed(
  context: Context,
  tenant: Tenant,
  { items, until }: ArchivedEvents,
  speaking: ReadonlySet<string>,
): Promise<Share> {
  const { namespaceId, configVersion } = tenant;
  const objects = [...new Set(items.map(({ key }) => key.object))];
  const [meters, customers] = await Promise.all([
    metersOf(context, namespaceId, configVersion),
    customersOfObjects(context.store, namespaceId, objects),
  ]);
  return {
    until,
    items: items.flatMap(({ key, line }) => {
      const { home, customerId } = customers.get(key.object) ?? { home: key.object, customerId: null };
      // Its events have moved into an object that has listed them already.
      if (speaking.has(home)) return [];
      const unpriced = line.unrated ? "no rule had a price for it when it was accepted" : null;
      const standing = { declared: customerId !== null, unpriced };
      return {
        key,
        eventJson: cloudEventJson(line.event),
        customerId,
        validationError: validationErrorOf(meters, line.event, standing),
      };
    }),
  };
}
