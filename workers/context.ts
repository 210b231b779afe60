/**
 * The composition root: everything a request or a job may reach, built from the bindings. Time and randomness enter here and in
 * the object classes, nowhere else; tests replace what they need.
 */
import { createHash, randomBytes } from "node:crypto";
import { ulid } from "ulid";
import type { Sha256 } from "../core/journal";
import type { CustomerRpc } from "../durable-objects/rpc";
import type { ClockRpc } from "../durable-objects/clock";
import { openStore, type Store } from "../store/store";
import { isolateCaches, type Caches } from "./cache";

export interface Context {
  env: Env;
  caches: Caches;
  /** The shared store. Opened at the first use: the hot roads never do. */
  readonly store: Store;
  now(): number;
  newId(): string;
  randomBytes(count: number): Uint8Array;
  sha256: Sha256;
  /** The object of this name (core/object-name). */
  customer(objectName: string): CustomerRpc;
  /** A sandbox namespace's test clock. */
  clock(namespaceId: string): ClockRpc;
  /** Keeps the isolate alive for work that the answer does not wait for. Its failure is logged, never answered. */
  later(work: Promise<unknown>): void;
  /** Tells the operator. Never given secrets: keys and bodies stay out. */
  report(event: string, detail: Record<string, unknown>): void;
  /** Ends what this context opened, once the work for later is done. */
  close(): void;
}

/** Where the platform lets work outlive the answer: a request's, a queue batch's or a cron run's. */
export interface Lifetime {
  waitUntil(work: Promise<unknown>): void;
}

export function compose(env: Env, lifetime: Lifetime): Context {
  let store: Store | null = null;
  let pending: Promise<unknown>[] | null = null;
  return {
    env,
    caches: isolateCaches,
    get store() {
      return (store ??= openStore(env));
    },
    now: Date.now,
    newId,
    randomBytes,
    sha256,
    // The stub's own type wraps every answer for stubs and disposal; ours are plain data.
    customer: (name) => env.CUSTOMER.getByName(name) as unknown as CustomerRpc,
    clock: (namespaceId) => env.CLOCK.getByName(namespaceId) as unknown as ClockRpc,
    later(work) {
      const reported = work.catch((error: unknown) => report("background work failed", { cause: causeOf(error) }));
      (pending ??= []).push(reported);
      lifetime.waitUntil(reported);
    },
    report,
    close() {
      const opened = store;
      if (opened !== null) lifetime.waitUntil(Promise.all(pending ?? []).then(() => opened.close()));
    },
  };
}

const ULID_RANDOM_CHARS = 16;

/** A ULID. Left to itself, the package asks the platform for randomness once per character. */
function newId(): string {
  const random = randomBytes(ULID_RANDOM_CHARS);
  let next = 0;
  return ulid(undefined, () => random[next++]! / 256);
}

const sha256: Sha256 = (text) => createHash("sha256").update(text).digest("hex");

function report(event: string, detail: Record<string, unknown>): void {
  console.error(JSON.stringify({ event, ...detail }));
}

/** An error as the log keeps it, with what caused it: the database's own words are in there. */
export function causeOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const text = error.stack ?? error.message;
  return error.cause === undefined ? text : `${text}\ncaused by ${causeOf(error.cause)}`;
}
