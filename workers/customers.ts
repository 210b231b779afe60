/**
 * The way to a customer's object. Finds it by name, follows `moved` once and remembers the hint, brings it the configuration
 * it asks for once, gives sandbox calls their clock, and repeats a call that the platform says may be repeated. Every operation
 * of the object is safe to repeat, so none of this can count anything twice.
 */
import { objectName } from "../core/object-name";
import type { Answer, Call, CustomerRpc, Redirect, Refusal } from "../durable-objects/rpc";
import { subjectsOf } from "../store/customer-subjects";
import { overloaded, refusalProblem, tryAgain } from "./api/problem";
import { snapshotOf } from "./config";
import type { Context } from "./context";

/** On whose behalf: what of a principal, or of a queue message, an object needs to know. */
export interface Tenant {
  namespaceId: string;
  kind: "live" | "sandbox";
  configVersion: number;
  /** The test clock's time, where the caller has read it already. Sandbox namespaces only. */
  clockMs?: number;
}

/** `target` is the name of the object that is asked. */
export type Operation<T> = (object: CustomerRpc, call: Call, target: string) => Promise<Answer<T>>;
export type Answered<T> = ({ ok: true } & T) | Refusal;

/** A name leads through two or three objects to its home; the configuration and a platform's reset may each happen once, and then some. */
const ATTEMPTS_MAX = 8;
/** How long a call waits while its customer's data moves into another object: some three seconds, more than nearly any move takes. */
const PAUSES_MS = [50, 100, 200, 400, 800, 1_600];

const ULID = /^[0-7][0-9A-HJKMNP-TV-Z]{25}$/;

/** Time in a sandbox namespace: the test clock's once it stands still, the wall clock's until then. */
export const sandboxTime = async (context: Context, namespaceId: string): Promise<number> =>
  (await context.clock(namespaceId).now()) ?? context.now();

/** Asks the customer of this name; refusals come back as values. A platform failure is thrown as it is. */
export async function askCustomer<T>(
  context: Context,
  tenant: Tenant,
  name: string,
  operation: Operation<T>,
): Promise<Answered<T>> {
  const { namespaceId, configVersion } = tenant;
  const call = await callBy(context, tenant, name);
  const named = objectName(namespaceId, name, context.sha256);
  let target = context.caches.homes.get(named, context.now()) ?? named;
  const pauses = PAUSES_MS.values();
  for (let attempt = 1; attempt <= ATTEMPTS_MAX; attempt++) {
    const object = context.customer(target);
    let answer: Answer<T>;
    try {
      answer = await operation(object, call, target);
    } catch (error) {
      if (!isRepeatable(error) || attempt === ATTEMPTS_MAX) throw error;
      continue;
    }
    if (answer.ok) return answer;
    // The two redirects are told apart by their reason; nothing else carries these.
    const refused: Refusal | Redirect = answer;
    if (refused.reason === "moved") {
      if (!refused.home.startsWith(`${namespaceId}/`)) throw new Error("an object redirected out of its namespace");
      target = refused.home;
      context.caches.homes.set(named, target, context.now());
    } else if (refused.reason === "merging") {
      const pause = pauses.next();
      if (pause.done) break;
      attempt--;
      await context.wait(pause.value);
    } else if (refused.reason === "stale_config") {
      await object.configure(call, await snapshotOf(context, namespaceId, configVersion));
    } else {
      return refused;
    }
  }
  throw tryAgain("the customer is being moved or reconfigured; try again");
}

async function callBy(context: Context, tenant: Tenant, name: string): Promise<Call> {
  const { namespaceId, kind, configVersion } = tenant;
  const call: Call = { namespaceId, name, configVersion };
  if (kind === "sandbox") call.clockMs = tenant.clockMs ?? (await sandboxTime(context, namespaceId));
  return call;
}

/** An object as the registry has it. Its customer's id always leads to it, whatever other names do. */
export interface RegisteredObject {
  object: string;
  customerId: string;
}

/** Asks an object itself, and nobody else in its place. null: its data has moved into another object, which speaks for it. */
export async function askObject<T>(
  context: Context,
  tenant: Tenant,
  { object: target, customerId }: RegisteredObject,
  operation: Operation<T>,
): Promise<Answered<T> | null> {
  const { namespaceId, configVersion } = tenant;
  const call = await callBy(context, tenant, customerId);
  for (let attempt = 1; attempt <= ATTEMPTS_MAX; attempt++) {
    const object = context.customer(target);
    let answer: Answer<T>;
    try {
      answer = await operation(object, call, target);
    } catch (error) {
      if (!isRepeatable(error) || attempt === ATTEMPTS_MAX) throw error;
      continue;
    }
    if (answer.ok) return answer;
    const refused: Refusal | Redirect = answer;
    if (refused.reason === "moved") return null;
    if (refused.reason === "merging") break;
    if (refused.reason !== "stale_config") return refused;
    await object.configure(call, await snapshotOf(context, namespaceId, configVersion));
  }
  throw tryAgain("a customer's data is being moved; try again");
}

/** The same for a name that a person typed into `{customer}`: one that looks like an id must exist, and refusals are thrown. */
export async function requireCustomer<T>(
  context: Context,
  tenant: Tenant,
  name: string,
  operation: Operation<T>,
): Promise<{ ok: true } & T> {
  if (ULID.test(name)) await keyOf(context, tenant, name);
  return ask(context, tenant, name, operation);
}

/**
 * The key of the customer with this id, or one of its subjects when it has none: what its events are filed under. Its own object knows;
 * then it is remembered. Only the id leads to the customer for certain: the key may be another's by now.
 */
async function keyOf(context: Context, tenant: Tenant, id: string): Promise<string> {
  const named = objectName(tenant.namespaceId, id, context.sha256);
  const known = context.caches.keys.get(named, context.now());
  if (known !== undefined) return known;
  const { wallet } = await ask(context, tenant, id, (object, call) => object.wallet(call));
  if (wallet.customerId === null) throw refusalProblem({ ok: false, reason: "unknown_customer" });
  const key = wallet.userId === wallet.customerId ? await subjectOfKeyless(context, tenant, id) : wallet.userId;
  context.caches.keys.set(named, key, context.now());
  return key;
}

/** A customer without a key has subjects; its home does not know them. */
async function subjectOfKeyless({ store }: Context, { namespaceId }: Tenant, id: string): Promise<string> {
  const subjects = await subjectsOf(store, namespaceId, [id]);
  return subjects.get(id)?.[0] ?? id;
}

/** The name that a tracked event gets as its subject. */
export const subjectOf = (context: Context, tenant: Tenant, customer: string): string | Promise<string> =>
  ULID.test(customer) ? keyOf(context, tenant, customer) : customer;

async function ask<T>(
  context: Context,
  tenant: Tenant,
  name: string,
  operation: Operation<T>,
): Promise<{ ok: true } & T> {
  let answer: Answered<T>;
  try {
    answer = await askCustomer(context, tenant, name, operation);
  } catch (error) {
    if (isOverloaded(error))
      throw overloaded("this customer is receiving more calls than it can take; slow down and try again");
    if (isRepeatable(error)) throw tryAgain("this customer could not be reached; try again");
    throw error;
  }
  if (!answer.ok) throw refusalProblem(answer);
  return answer;
}

/** The platform's marks on errors of object calls. */
export const isOverloaded = (error: unknown): boolean =>
  (error as { overloaded?: unknown } | null)?.overloaded === true;
export const isRepeatable = (error: unknown): boolean =>
  (error as { retryable?: unknown } | null)?.retryable === true && !isOverloaded(error);
