/**
 * The way to a customer's object. Finds it by name, follows `moved` once and remembers the hint, brings it the configuration
 * it asks for once, gives sandbox calls their clock, and repeats a call that the platform says may be repeated. Every operation
 * of the object is safe to repeat, so none of this can count anything twice.
 */
import { objectName } from "../core/object-name";
import type { Answer, Call, CustomerRpc, Redirect, Refusal } from "../durable-objects/rpc";
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

export type Operation<T> = (object: CustomerRpc, call: Call) => Promise<Answer<T>>;
export type Answered<T> = ({ ok: true } & T) | Refusal;

/** A redirect, the configuration, a platform's reset: each may happen once to one call, and then some. */
const ATTEMPTS_MAX = 4;

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
  const { namespaceId, kind, configVersion } = tenant;
  const call: Call = { namespaceId, name, configVersion };
  if (kind === "sandbox") call.clockMs = tenant.clockMs ?? (await sandboxTime(context, namespaceId));
  const named = objectName(namespaceId, name, context.sha256);
  let target = context.caches.homes.get(named, context.now()) ?? named;
  for (let attempt = 1; attempt <= ATTEMPTS_MAX; attempt++) {
    const object = context.customer(target);
    let answer: Answer<T>;
    try {
      answer = await operation(object, call);
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
    } else if (refused.reason === "stale_config") {
      await object.configure(call, await snapshotOf(context, namespaceId, configVersion));
    } else {
      return refused;
    }
  }
  throw tryAgain("the customer is being moved or reconfigured; try again");
}

/** The same for a name that a person typed into `{customer}`: one that looks like an id must exist, and refusals are thrown. */
export async function requireCustomer<T>(
  context: Context,
  tenant: Tenant,
  name: string,
  operation: Operation<T>,
): Promise<{ ok: true } & T> {
  return ask(context, tenant, ULID.test(name) ? await keyOf(context, tenant, name) : name, operation);
}

/** The key of the customer with this id: an event must not be filed under an id. Its own object knows; then it is remembered. */
async function keyOf(context: Context, tenant: Tenant, id: string): Promise<string> {
  const named = objectName(tenant.namespaceId, id, context.sha256);
  const known = context.caches.keys.get(named, context.now());
  if (known !== undefined) return known;
  const { wallet } = await ask(context, tenant, id, (object, call) => object.wallet(call));
  if (wallet.customerId === null) throw refusalProblem({ ok: false, reason: "unknown_customer" });
  context.caches.keys.set(named, wallet.userId, context.now());
  return wallet.userId;
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
const isRepeatable = (error: unknown): boolean =>
  (error as { retryable?: unknown } | null)?.retryable === true && !isOverloaded(error);
