/**
 * Customers' objects on Node: the class itself over simulated storage, with calls between objects, alarms and a queue, so that a test can
 * make any write or any call the last one an instance makes. What a crash leaves is what was written before it. Calls are delivered in
 * order and at once; nothing here is concurrent. The test file mocks `cloudflare:workers` (see `platformModule`).
 */
import { sha256 } from "../../durable-objects/sha256";
import type { Customer } from "../../durable-objects/customer";
import type { ConfigSnapshot, CustomerRpc } from "../../durable-objects/rpc";
import type { RatingMessage } from "../../schema/messages";
import { objectName } from "../../core/object-name";
import { TestSqlStorage } from "./sql-storage";

/** What `cloudflare:workers` is to the classes. */
export const platformModule = {
  DurableObject: class {
    constructor(
      readonly ctx: unknown,
      readonly env: unknown,
    ) {}
  },
};

/** The class under test is imported by the test file, after its mock. */
export type CustomerClass = new (ctx: never, env: never) => Customer;

export class Crash extends Error {}

interface SimulatedObject {
  storage: TestSqlStorage;
  alarm: number | null;
  /** Its alarm is ringing: the platform rings no second one meanwhile. */
  ringing: boolean;
  instance: { customer: Customer; alive: { yes: boolean } } | null;
}

export class Platform {
  /** Everything the rating queue has taken, in order. */
  readonly messages: RatingMessage[] = [];
  /** Called before every statement that writes: throw `Crash` to end the instance there. */
  beforeWrite: (object: string, query: string) => void = () => undefined;
  /** Called before a call from one object to another, and before its answer: throw to lose it. */
  beforeCall: (object: string, method: string) => void = () => undefined;
  beforeReply: (object: string, method: string) => void = () => undefined;
  /** Called before the queue takes a message: throw to make it refuse. */
  beforeSend: (message: RatingMessage) => void = () => undefined;
  private readonly objects = new Map<string, SimulatedObject>();

  constructor(
    readonly namespaceId: string,
    private readonly customerClass: CustomerClass,
    private readonly setTime: (ms: number) => void,
  ) {}

  nameOf(name: string): string {
    return objectName(this.namespaceId, name, sha256);
  }

  /** The object of this name, as a caller outside sees it. */
  object(name: string): CustomerRpc {
    return new Proxy({} as CustomerRpc, {
      get:
        (_target, method: string) =>
        (...args: unknown[]) =>
          this.call(name, method, args),
    });
  }

  /** The instance itself, for looking into it. */
  instance(name: string): Customer {
    return this.wake(name).instance!.customer;
  }

  /** Loses all memory of an object. */
  evict(name: string): void {
    const object = this.objects.get(name);
    if (object?.instance) object.instance.alive.yes = false;
    if (object) object.instance = null;
  }

  evictAll(): void {
    for (const name of this.objects.keys()) this.evict(name);
  }

  /** Lets time pass until no alarm is set for the next hour. An alarm that ended in a crash rings again. */
  async ring(alarms = 1_000): Promise<void> {
    for (let rung = 0; rung < alarms; rung++) if (!(await this.ringNext(Date.now() + 3_600_000))) return;
    throw new Error("the alarms never end");
  }

  /** What `scheduler.wait` is: somebody waits, and alarms that are due meanwhile ring. */
  readonly wait = async (ms: number): Promise<void> => {
    const until = Date.now() + ms;
    if (ms > 0) while (await this.ringNext(until));
    this.setTime(Math.max(Date.now(), until));
  };

  private async ringNext(untilMs: number): Promise<boolean> {
    const [next] = [...this.objects]
      .filter(([, { alarm, ringing }]) => alarm !== null && !ringing && alarm <= untilMs)
      .toSorted(([, a], [, b]) => a.alarm! - b.alarm!);
    if (!next) return false;
    const [name, object] = next;
    this.setTime(Math.max(Date.now(), object.alarm!));
    object.alarm = null;
    object.ringing = true;
    const { customer, alive } = this.wake(name).instance!;
    await customer.alarm().catch((error: unknown) => {
      if (!(error instanceof Crash)) throw error;
    });
    object.ringing = false;
    if (!alive.yes) object.alarm = Date.now() + 2_000;
    return true;
  }

  async configure(name: string, snapshot: ConfigSnapshot): Promise<void> {
    await this.object(name).configure({ namespaceId: this.namespaceId, name: "", configVersion: 0 }, snapshot);
  }

  private async call(name: string, method: string, args: unknown[]): Promise<unknown> {
    const { customer } = this.wake(name).instance!;
    const methods = customer as unknown as Record<string, (...args: unknown[]) => unknown>;
    return structuredClone(await methods[method]!(...structuredClone(args)));
  }

  private wake(name: string): SimulatedObject {
    let object = this.objects.get(name);
    if (!object)
      this.objects.set(name, (object = { storage: new TestSqlStorage(), alarm: null, ringing: false, instance: null }));
    if (object.instance) return object;
    const alive = { yes: true };
    const { storage } = object;
    const mine = object;
    const stillAlive = (): void => {
      if (!alive.yes) throw new Crash("this instance is gone");
    };
    storage.beforeWrite = (query) => {
      try {
        this.beforeWrite(name, query);
      } catch (error) {
        this.evict(name);
        throw error;
      }
    };
    const sql = {
      exec: (...query: Parameters<TestSqlStorage["exec"]>) => {
        stillAlive();
        return storage.exec(...query);
      },
    };
    const ctx = {
      id: { name },
      waitUntil: () => undefined,
      storage: {
        sql,
        transactionSync: storage.transactionSync,
        setAlarm: async (at: number) => {
          if (alive.yes) mine.alarm = at;
        },
        getAlarm: async () => mine.alarm,
        deleteAlarm: async () => void (mine.alarm = null),
      },
    };
    object.instance = { customer: new this.customerClass(ctx as never, this.env as never), alive };
    return object;
  }

  private readonly env = {
    CUSTOMER: {
      getByName: (name: string) =>
        new Proxy({} as CustomerRpc, {
          get:
            (_target, method: string) =>
            async (...args: unknown[]) => {
              this.beforeCall(name, method);
              const answer = await this.call(name, method, args);
              this.beforeReply(name, method);
              return answer;
            },
        }),
    },
    CLOCK: { getByName: () => ({ now: async () => null, register: async () => undefined }) },
    RATING: {
      sendBatch: async (batch: { body: RatingMessage }[]) => {
        for (const { body } of batch) this.beforeSend(body);
        this.messages.push(...batch.map(({ body }) => structuredClone(body)));
      },
    },
    ARCHIVING: { send: async () => undefined },
    ARCHIVE: { put: async () => undefined },
  };
}

/** What the shared store would say: the newest row of each window, whatever order the messages came in. */
export function storedRollups(
  messages: readonly RatingMessage[],
): Map<string, { object: string; count: number; sum: string }> {
  const rows = new Map<string, { epoch: string; seq: number; object: string; count: number; sum: string }>();
  for (const { object, epoch, seq, rollups } of messages) {
    for (const { meter, resolution, windowStart, group, count, sum } of rollups) {
      const key = JSON.stringify([object, meter, resolution, windowStart, group]);
      const known = rows.get(key);
      if (known && (known.epoch > epoch || (known.epoch === epoch && known.seq >= seq))) continue;
      rows.set(key, { epoch, seq, object, count, sum });
    }
  }
  return rows;
}
