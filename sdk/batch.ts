/**
 * Gathers usage and sends it in few, large calls. Promises: the buffer never grows past its bound; every event is either
 * delivered or handed back (by `flush`, by `close`, or to `onUndelivered`), never dropped; its id is fixed when it is
 * added, so handing it in again is harmless. Each call is retried by the transport; the batch adds no retries of its own.
 * A process that ends without `close()` loses what is still buffered: nothing is written to disk here.
 */
import { InvalidInputError, NetworkError, TollgateError } from "./errors";
import { writeExactJson } from "./exact-json";
import type { Runtime } from "./runtime";
import type { CustomerRef, EventInput, TrackFact } from "./types";
import { completeEvent, eventOfTrack } from "./usage";

export interface BatchOptions {
  /** Events a call; a full call leaves at once. */
  maxEvents?: number;
  /** No event waits longer than this for its call to fill. */
  maxWaitMs?: number;
  /** Events held in memory: waiting, under way, or undelivered and not yet taken back. */
  maxBuffered?: number;
  /** Calls under way at once. */
  concurrency?: number;
  /** What `add` does when the buffer is full: wait for room, or reject with `BufferFullError`. */
  whenFull?: "wait" | "reject";
  /** Takes undelivered events at once, instead of keeping them for the next `flush()`. */
  onUndelivered?: (undelivered: Undelivered) => void;
}

export const BATCH_DEFAULTS = { maxEvents: 100, maxWaitMs: 1_000, maxBuffered: 10_000, concurrency: 2 } as const;

export interface Undelivered {
  events: EventInput[];
  /** Why the call failed, after its retries. */
  error: TollgateError;
}

/** `flush` or `close` could not deliver everything. The events are yours again: they are no longer in the buffer. */
export class UndeliveredError extends TollgateError {
  override readonly name = "UndeliveredError";
  readonly undelivered: Undelivered[];
  readonly events: EventInput[];

  constructor(undelivered: Undelivered[]) {
    const [first] = undelivered;
    const events = undelivered.flatMap((one) => one.events);
    const { status = 0, problem = {}, requestId = null, retryAfterMs = null } = first?.error ?? {};
    const detail = `${events.length} events were not delivered: ${first?.error.detail ?? "unknown"}`;
    super(
      { status, problem: { ...problem, detail }, requestId, retryAfterMs },
      { code: "undelivered", cause: first?.error },
    );
    this.undelivered = undelivered;
    this.events = events;
  }
}

/** The buffer is full. With `whenFull: "wait"`: full of undelivered events, so waiting would not help; `flush()` takes them out. */
export class BufferFullError extends TollgateError {
  override readonly name = "BufferFullError";
  constructor(detail: string) {
    super(
      { status: 0, problem: { title: "Buffer full", detail }, requestId: null, retryAfterMs: null },
      { code: "buffer-full" },
    );
  }
}

/** Under the server's bound of 10,000 events a call. */
const CALL_EVENTS_MAX = 10_000;
/** Under its 10 MiB a body, for UTF-8 takes at most three bytes a character. */
const CALL_CHARS_MAX = 3 * 1024 * 1024;
/** The server's bound. Checked here because one refused event would refuse its whole call. */
const EVENT_BYTES_MAX = 256 * 1024;

/** An event and the text it is sent as: written once, when it is added, so that later changes to the object change nothing. */
interface Entry {
  event: EventInput;
  json: string;
}

export class Batch {
  readonly #ingestJson: (json: string) => Promise<void>;
  readonly #runtime: Runtime;
  readonly #limits: { maxEvents: number; maxWaitMs: number; maxBuffered: number; concurrency: number };
  readonly #options: BatchOptions;
  /** Not sent yet, oldest first. */
  #waiting: Entry[] = [];
  /** How many events were ever added, and how many of them have left in a call. */
  #added = 0;
  #sent = 0;
  readonly #underWay = new Set<Promise<void>>();
  #underWayEvents = 0;
  #undelivered: Undelivered[] = [];
  /** Resolvers of `add` calls that wait for room, oldest first. */
  #forRoom: (() => void)[] = [];
  #cancelTimer: (() => void) | null = null;
  /** The timer has run: the next call leaves part-filled, as soon as there is a place for it. */
  #due = false;
  /** While positive, part-filled calls leave too. */
  #flushing = 0;
  #closed = false;

  constructor(ingestJson: (json: string) => Promise<void>, runtime: Runtime, options: BatchOptions = {}) {
    this.#ingestJson = ingestJson;
    this.#runtime = runtime;
    this.#options = options;
    this.#limits = { ...BATCH_DEFAULTS };
    for (const name of ["maxEvents", "maxWaitMs", "maxBuffered", "concurrency"] as const) {
      const value = options[name] ?? BATCH_DEFAULTS[name];
      if (name === "maxEvents" && value > CALL_EVENTS_MAX) {
        throw new InvalidInputError(`batch.maxEvents is ${value}; the server takes ${CALL_EVENTS_MAX} events a call.`);
      }
      if (!(value >= (name === "maxWaitMs" ? 0 : 1)))
        throw new InvalidInputError(`batch.${name} is ${value}, which is too small.`);
      this.#limits[name] = value;
    }
  }

  /** Events held in memory. */
  get size(): number {
    return (
      this.#waiting.length +
      this.#underWayEvents +
      this.#undelivered.reduce((sum, { events }) => sum + events.length, 0)
    );
  }

  /** Buffers one usage fact, stamped with the time of this call unless it has its own. Resolves when it is in the buffer. */
  async track(input: CustomerRef & TrackFact): Promise<void> {
    await this.add(eventOfTrack(input));
  }

  /** Buffers one CloudEvent, stamped likewise. */
  async add(event: EventInput): Promise<void> {
    // It may leave seconds later: what the server would assume then is not when it happened.
    const time = event.time ?? new Date(this.#runtime.now()).toISOString();
    const complete = { ...completeEvent(event, this.#runtime.newId), time };
    // Written here, so that what cannot be sent fails this call and not the hundred others it would travel with.
    const entry = { event: complete, json: writeExactJson(complete) };
    const { length } = entry.json;
    if (length * 3 > EVENT_BYTES_MAX && new TextEncoder().encode(entry.json).length > EVENT_BYTES_MAX) {
      throw new InvalidInputError(`The event is larger than ${EVENT_BYTES_MAX} bytes of JSON.`);
    }
    for (;;) {
      if (this.#closed) throw new InvalidInputError("The batch is closed.");
      if (this.size < this.#limits.maxBuffered) break;
      if (this.#options.whenFull === "reject") throw new BufferFullError(`The buffer holds ${this.size} events.`);
      if (this.#waiting.length === 0 && this.#underWay.size === 0) {
        throw new BufferFullError(`The buffer is full of ${this.size} undelivered events; flush() hands them back.`);
      }
      // A full buffer that waits for its timer would make the caller wait for nothing.
      this.#pump(true);
      await new Promise<void>((resolve) => this.#forRoom.push(resolve));
    }
    this.#waiting.push(entry);
    this.#added++;
    this.#pump(false);
  }

  /** Resolves when everything added before is delivered; rejects with `UndeliveredError`, which holds what is not. */
  async flush(): Promise<void> {
    // Counted, not "until it is empty": a flush beside a busy producer has an end.
    const target = this.#added;
    this.#flushing++;
    try {
      this.#pump(true);
      while (this.#sent < target) await Promise.race(this.#underWay);
      await Promise.all(this.#underWay);
    } finally {
      this.#flushing--;
    }
    if (this.#undelivered.length === 0) return;
    const undelivered = this.#undelivered;
    this.#undelivered = [];
    this.#makeRoom();
    throw new UndeliveredError(undelivered);
  }

  /** Takes no more, and flushes. */
  async close(): Promise<void> {
    this.#closed = true;
    this.#makeRoom();
    await this.flush();
  }

  /** Starts what may leave now; with `partly`, also a call that is not full. Otherwise sees to it that the timer runs. */
  #pump(partly: boolean): void {
    const { maxEvents, maxWaitMs, concurrency } = this.#limits;
    while (this.#underWay.size < concurrency && this.#waiting.length >= (partly || this.#due ? 1 : maxEvents))
      this.#start();
    if (this.#waiting.length === 0) {
      this.#cancelTimer?.();
      this.#cancelTimer = null;
    } else if (this.#cancelTimer === null && !this.#due) {
      this.#cancelTimer = this.#runtime.after(maxWaitMs, () => {
        this.#cancelTimer = null;
        this.#due = true;
        this.#pump(false);
      });
    }
  }

  #start(): void {
    let chars = 0;
    const past = this.#waiting.findIndex(({ json }, index) => {
      chars += json.length + 1;
      return index >= this.#limits.maxEvents || (index > 0 && chars > CALL_CHARS_MAX);
    });
    const entries = this.#waiting.splice(0, past === -1 ? this.#waiting.length : past);
    this.#sent += entries.length;
    this.#due = false;
    this.#underWayEvents += entries.length;
    // A step later, when the call is counted as under way: a fetch that itself adds to this batch must find it so.
    const delivery = Promise.resolve().then(() => this.#deliver(entries));
    const call = delivery.finally(() => {
      this.#underWay.delete(call);
      this.#underWayEvents -= entries.length;
      this.#makeRoom();
      this.#pump(this.#flushing > 0);
    });
    this.#underWay.add(call);
  }

  /** Delivers all of `entries` or hands back those that it could not. */
  async #deliver(entries: Entry[]): Promise<void> {
    let rest = entries;
    while (rest.length > 0) {
      try {
        return await this.#ingestJson(`[${rest.map(({ json }) => json).join(",")}]`);
      } catch (cause) {
        const error = cause instanceof TollgateError ? cause : new NetworkError(String(cause), cause);
        // The server refuses a call for one bad event and says which: the others go on without it.
        const bad = badEvents(error, rest.length);
        const given = bad.size === 0 ? rest : rest.filter((_, index) => bad.has(index));
        this.#giveBack({ events: given.map(({ event }) => event), error });
        rest = bad.size === 0 ? [] : rest.filter((_, index) => !bad.has(index));
      }
    }
  }

  #giveBack(undelivered: Undelivered): void {
    if (this.#options.onUndelivered) this.#options.onUndelivered(undelivered);
    else this.#undelivered.push(undelivered);
  }

  /** Lets waiting `add` calls look again: as many as there is room for, or all when there is nothing left to wait for. */
  #makeRoom(): void {
    const stuck = this.#closed || (this.#waiting.length === 0 && this.#underWay.size === 0);
    const room = stuck ? this.#forRoom.length : Math.max(0, this.#limits.maxBuffered - this.size);
    for (const resolve of this.#forRoom.splice(0, room)) resolve();
  }
}

/** The places in a call of `count` events that a 400 names. */
function badEvents({ status, problem }: TollgateError, count: number): Set<number> {
  const bad = new Set<number>();
  if (status !== 400 || !Array.isArray(problem.validationErrors)) return bad;
  for (const { index } of problem.validationErrors as { index?: unknown }[]) {
    if (typeof index === "number" && Number.isInteger(index) && index >= 0 && index < count) bad.add(index);
  }
  return bad;
}
