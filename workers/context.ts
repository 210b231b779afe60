/**
 * The composition root: everything a request or a job may reach, built from the bindings. Time and randomness enter here and in
 * the object classes, nowhere else; tests replace what they need.
 */
import { randomBytes } from "node:crypto";
import { ulid } from "ulid";
import type { Sha256 } from "../core/journal";
import type { CustomerRpc } from "../durable-objects/rpc";
import type { ClockRpc } from "../durable-objects/clock";
import { sha256 } from "../durable-objects/sha256";
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
  readonly sha256: Sha256;
  /** The object of this name (core/object-name). */
  customer(objectName: string): CustomerRpc;
  /** A sandbox namespace's test clock. */
  clock(namespaceId: string): ClockRpc;
  wait(ms: number): Promise<void>;
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

export const compose = (env: Env, lifetime: Lifetime): Context => new PlatformContext(env, lifetime);

/** A class, so that a request costs one small object and no closures. */
class PlatformContext implements Context {
  readonly caches = isolateCaches;
  private opened: Store | null = null;
  private pending: Promise<unknown>[] | null = null;

  constructor(
    readonly env: Env,
    private readonly lifetime: Lifetime,
  ) {}

  get store(): Store {
    return (this.opened ??= openStore(this.env));
  }

  now(): number {
    return Date.now();
  }

  newId(): string {
    return newUlid();
  }

  randomBytes(count: number): Uint8Array {
    return randomBytes(count);
  }

  get sha256(): Sha256 {
    return sha256;
  }

  customer(objectName: string): CustomerRpc {
    // The stub's own type wraps every answer for stubs and disposal; ours are plain data.
    return this.env.CUSTOMER.getByName(objectName) as unknown as CustomerRpc;
  }

  clock(namespaceId: string): ClockRpc {
    return this.env.CLOCK.getByName(namespaceId) as unknown as ClockRpc;
  }

  wait(ms: number): Promise<void> {
    return scheduler.wait(ms);
  }

  later(work: Promise<unknown>): void {
    const reported = work.catch((error: unknown) => this.report("background work failed", { cause: causeOf(error) }));
    (this.pending ??= []).push(reported);
    this.lifetime.waitUntil(reported);
  }

  report(event: string, detail: Record<string, unknown>): void {
    console.error(JSON.stringify({ event, ...detail }));
  }

  close(): void {
    const { opened } = this;
    if (opened !== null) this.lifetime.waitUntil(Promise.all(this.pending ?? []).then(() => opened.close()));
  }
}

const ULID_RANDOM_CHARS = 16;

/** Left to itself, the package asks the platform for randomness once per character. */
function newUlid(): string {
  const random = randomBytes(ULID_RANDOM_CHARS);
  let next = 0;
  return ulid(undefined, () => random[next++]! / 256);
}

/** An error as the log keeps it, with what caused it: the database's own words are in there. */
export function causeOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const text = error.stack ?? error.message;
  return error.cause === undefined ? text : `${text}\ncaused by ${causeOf(error.cause)}`;
}
