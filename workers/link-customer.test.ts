/**
 * Linking that is cut off: whatever object call a request is lost at, the rows say what must be, and the cron or the next change makes
 * it so. Each scenario is run once for every call that its change makes.
 */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { CustomerRpc } from "../durable-objects/rpc";
import { unlinkedNames } from "../store/customer-subjects";
import { openMerges } from "../store/merges";
import { jobs } from "./cron";
import type { Context } from "./context";
import { newTenant, someEvent, startWorker } from "./harness";

const table = { key: "standard", currency: "CREDITS", rules: [{ dimension: "tokens", rate: 1, per: 1 }] };
const MINUTE_MS = 60_000;
const TEST_MS_MAX = 120_000;
/** Histories, a second each. */
const RUNS = 12;

/** A worker whose isolate can be lost at an object call: that one and all later ones of the request fail. */
function mortalWorker() {
  let calls = 0;
  let lostAt = Infinity;
  const mortal = (object: CustomerRpc): CustomerRpc =>
    new Proxy(object, {
      get:
        (target, method) =>
        (...args: unknown[]) => {
          if (++calls >= lostAt) throw new Error("the isolate was lost");
          return (target as unknown as Record<PropertyKey, (...args: unknown[]) => unknown>)[method]!(...args);
        },
    });
  const worker = startWorker({
    override: (context: Context) => ({ customer: (name) => mortal(context.customer(name)) }),
  });
  return {
    worker,
    /** Runs it and answers whether it was cut off. */
    async losing(at: number, work: () => Promise<void>): Promise<boolean> {
      calls = 0;
      lostAt = at;
      await work();
      lostAt = Infinity;
      return calls >= at;
    },
  };
}

async function tenantOf(mortal: ReturnType<typeof mortalWorker>) {
  const { worker } = mortal;
  const { id: namespaceId, apiKey: key } = await newTenant(worker);
  const call = <T = Record<string, unknown>>(method: string, path: string, body?: unknown) =>
    worker.call<T>(method, `/api/v1${path}`, { key, ...(body !== undefined && { body }) });
  expect((await call("POST", "/burn-tables", table)).status).toBe(201);
  const subjects = (...subjectKeys: string[]) => ({ usageAttribution: { subjectKeys } });
  const create = async (body: Record<string, unknown>) => {
    const made = await call<{ id: string }>("POST", "/customers", { name: "n", ...body });
    expect(made).toMatchObject({ status: 201 });
    return made.body.id;
  };
  const use = async (name: string, tokens: number) => {
    const event = someEvent({ subject: name, type: "f", data: { usage: { tokens } } });
    const sent = await worker.call("POST", "/api/v1/events", {
      key,
      body: event,
      type: "application/cloudevents+json",
    });
    expect(sent.status).toBe(204);
  };
  const grant = async (name: string, amount: number) =>
    expect((await call("POST", `/wallets/${name}/grants`, { amount, kind: "paid" })).status).toBe(201);
  const wallets = async (...names: string[]) => {
    const read = names.map(async (name) => {
      const { status, body } = await call<{ customerId: string | null; balance: string }>("GET", `/wallets/${name}`);
      return [name, status === 200 ? body.customerId : status, status === 200 ? body.balance : body];
    });
    return Promise.all(read);
  };
  const sweep = () => jobs["* * * * *"]!(worker.context(), MINUTE_MS);
  const settled = async () => {
    const { store } = worker.context();
    expect(await unlinkedNames(store, namespaceId, 100)).toEqual([]);
    expect(await openMerges(store, namespaceId, 100)).toEqual([]);
  };
  return { ...mortal, namespaceId, call, subjects, create, use, grant, wallets, sweep, settled };
}

type Tenancy = Awaited<ReturnType<typeof tenantOf>>;

/**
 * Runs the change once for each of its object calls, lost there; then the cron, then the check. A change that was refused before anything
 * was written (5xx) is made again, as its caller would.
 */
async function whereverItIsLost(
  before: (api: Tenancy) => Promise<(api: Tenancy) => Promise<{ status: number }>>,
  check: (api: Tenancy) => Promise<void>,
): Promise<void> {
  const mortal = mortalWorker();
  let points = 0;
  for (let at = 1, lost = true; lost; at++) {
    const api = await tenantOf(mortal);
    const change = await before(api);
    let status = 0;
    lost = await api.losing(at, async () => void ({ status } = await change(api)));
    if (status >= 500) ({ status } = await change(api));
    expect([at, status]).toEqual([at, expect.toSatisfy((code: number) => code >= 200 && code < 300)]);
    await api.sweep();
    await api.settled();
    await check(api);
    if (lost) points++;
  }
  expect(points).toBeGreaterThan(3);
}

describe(
  "a customer whose request is lost at any object call is whole after the cron",
  { timeout: TEST_MS_MAX },
  () => {
    it("when it is made over names with events and credits, and new ones", async () => {
      await whereverItIsLost(
        async ({ use, grant }) => {
          await use("k", 3);
          await grant("s", 10);
          return ({ call, subjects }) => call("POST", "/customers", { name: "n", key: "k", ...subjects("s", "t") });
        },
        async ({ call, wallets }) => {
          const { id } = (await call<{ id: string }>("GET", "/customers/k")).body;
          expect(await wallets(id, "k", "s", "t")).toEqual([id, "k", "s", "t"].map((name) => [name, id, "7"]));
        },
      );
    });

    it("when its names are replaced: some go, one comes with what it had, one comes back", async () => {
      let id = "";
      await whereverItIsLost(
        async ({ create, subjects, grant, use, call }) => {
          id = await create({ key: "k", ...subjects("stub", "back") });
          await grant("k", 10);
          expect((await call("PUT", `/customers/${id}`, { name: "n", key: "k", ...subjects("stub") })).status).toBe(
            200,
          );
          await use("back", 2);
          await use("new", 3);
          return ({ call }) => call("PUT", `/customers/${id}`, { name: "n", key: "l", ...subjects("back", "new") });
        },
        async ({ wallets }) => {
          expect(await wallets(id, "l", "back", "new", "k", "stub")).toEqual([
            ...[id, "l", "back", "new"].map((name) => [name, id, "5"]),
            ...["k", "stub"].map((name) => [name, null, "0"]),
          ]);
        },
      );
    });

    it("when it is deleted, whose names are then the next customer's", async () => {
      let id = "";
      await whereverItIsLost(
        async ({ create, subjects, use }) => {
          await use("merged", 1);
          id = await create({ key: "k", ...subjects("merged", "stub") });
          await use("k", 2);
          return ({ call }) => call("DELETE", "/customers/k");
        },
        async ({ wallets, use, create, subjects }) => {
          expect(await wallets(id, "k", "merged", "stub")).toEqual([
            [id, id, "-3"],
            ...["k", "merged", "stub"].map((name) => [name, null, "0"]),
          ]);
          await use("merged", 5);
          const next = await create({ key: "k", ...subjects("merged", "stub") });
          expect(await wallets(next, "k", "merged", "stub")).toEqual(
            [next, "k", "merged", "stub"].map((name) => [name, next, "-5"]),
          );
        },
      );
    });
  },
);

it(
  "the next customer of a name need not wait for the cron to have told the last one",
  { timeout: TEST_MS_MAX },
  async () => {
    const mortal = mortalWorker();
    for (let at = 1, lost = true; lost; at++) {
      const { create, subjects, use, call, losing, wallets, sweep, settled } = await tenantOf(mortal);
      const [a, b] = [await create({ key: "a", ...subjects("s") }), await create({ key: "b" })];
      await use("s", 1);
      lost = await losing(at, async () => void (await call("DELETE", `/customers/${a}`)));
      expect((await call("PUT", `/customers/${b}`, { name: "b", key: "a", ...subjects("s") })).status).toBe(200);
      await use("s", 2);
      await use("a", 4);
      const expected = [[a, a, "-1"], ...[b, "a", "s"].map((name) => [name, b, "-6"]), ["b", null, "0"]];
      expect(await wallets(a, b, "a", "s", "b")).toEqual(expected);
      await sweep();
      await settled();
      expect(await wallets(a, b, "a", "s", "b")).toEqual(expected);
    }
  },
);

/** What the wallets must say, kept beside them. */
class Ledger {
  readonly names = new Map<string, string | null>();
  readonly balances = new Map<string, number>();

  owner(name: string): string {
    return this.names.get(name) ?? `nobody's ${name}`;
  }

  use(name: string, tokens: number): void {
    const owner = this.owner(name);
    this.balances.set(owner, (this.balances.get(owner) ?? 0) - tokens);
  }

  /** The customer has these names and no others from now on: what new ones brought is its, what others leave stays. */
  give(id: string, names: readonly string[]): void {
    for (const [name, owner] of this.names) if (owner === id && !names.includes(name)) this.names.set(name, null);
    for (const name of names) {
      const before = this.owner(name);
      if (before === id) continue;
      this.balances.set(id, (this.balances.get(id) ?? 0) + (this.balances.get(before) ?? 0));
      this.balances.delete(before);
      this.names.set(name, id);
    }
  }
}

const NAMES = ["a", "b", "c"];
const name = fc.constantFrom(...NAMES);
const names = fc.uniqueArray(name, { minLength: 1, maxLength: 3 });
const step = fc.record({
  /** The object call at which the request is lost; many make fewer. */
  lostAt: fc.oneof(fc.constant(Infinity), fc.integer({ min: 1, max: 25 })),
  swept: fc.boolean(),
  change: fc.oneof(
    {
      weight: 3,
      arbitrary: fc.record({ kind: fc.constant("use" as const), name, tokens: fc.integer({ min: 1, max: 9 }) }),
    },
    { weight: 3, arbitrary: fc.record({ kind: fc.constant("make" as const), names, keyed: fc.boolean() }) },
    {
      weight: 3,
      arbitrary: fc.record({ kind: fc.constant("replace" as const), of: name, names, keyed: fc.boolean() }),
    },
    { weight: 1, arbitrary: fc.record({ kind: fc.constant("delete" as const), of: name }) },
  ),
});

it(
  "names lead to their customers, and usage to whose name it was, through any history of changes and losses",
  { timeout: TEST_MS_MAX },
  async () => {
    const mortal = mortalWorker();
    const body = (list: readonly string[], keyed: boolean) =>
      keyed
        ? { name: "n", key: list[0], usageAttribution: { subjectKeys: list.slice(1) } }
        : { name: "n", usageAttribution: { subjectKeys: list } };
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 4, maxLength: 14 }), async (steps) => {
        const api = await tenantOf(mortal);
        const ledger = new Ledger();
        for (const { change, lostAt, swept } of steps) {
          if (change.kind === "use") {
            await api.use(change.name, change.tokens);
            ledger.use(change.name, change.tokens);
            continue;
          }
          const id = change.kind === "make" ? null : (ledger.names.get(change.of) ?? null);
          if (change.kind !== "make" && id === null) continue;
          const wanted = change.kind === "delete" ? [] : change.names;
          const free = wanted.every((each) => (ledger.names.get(each) ?? id) === id);
          const send = () =>
            change.kind === "make"
              ? api.call<{ id: string }>("POST", "/customers", body(wanted, change.keyed))
              : change.kind === "replace"
                ? api.call<{ id: string }>("PUT", `/customers/${id}`, body(wanted, change.keyed))
                : api.call<{ id: string }>("DELETE", `/customers/${id}`);
          let answer = await lost(api, lostAt, send);
          if (answer.status >= 500) answer = await send();
          expect(answer.status).toBe(free ? { make: 201, replace: 200, delete: 204 }[change.kind] : 409);
          if (free) ledger.give(id ?? answer.body.id, wanted);
          if (swept) await api.sweep();
        }
        await api.sweep();
        await api.settled();
        const owners = [...new Set([...NAMES.map((each) => ledger.owner(each)), ...ledger.balances.keys()])];
        for (const each of NAMES) {
          const [[, customerId, balance]] = (await api.wallets(each)) as [[string, string | null, string]];
          expect([each, balance]).toEqual([each, `${ledger.balances.get(ledger.owner(each)) ?? 0}`]);
          if (ledger.names.get(each)) expect([each, customerId]).toEqual([each, ledger.names.get(each)]);
        }
        for (const id of owners.filter((owner) => !owner.startsWith("nobody")))
          expect(await api.wallets(id)).toEqual([[id, id, `${ledger.balances.get(id) ?? 0}`]]);
      }),
      { numRuns: RUNS },
    );
  },
);

async function lost<T>(api: Tenancy, at: number, send: () => Promise<T>): Promise<T> {
  let answer: T;
  await api.losing(at, async () => void (answer = await send()));
  return answer!;
}
