import { evictDurableObject, runDurableObjectAlarm, runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { describe, expect, it, vi } from "vitest";
import type { Clock } from "./clock";
import type { Call } from "./rpc";

const T0 = Date.UTC(2030, 0, 1);
let nth = 0;

/** A clock whose customers are lists of deadlines; what they were asked is written down in order. */
async function clockWith(deadlines: Record<string, number[]>) {
  const namespaceId = `clock-test-${nth++}`;
  const clock = env.CLOCK.getByName(namespaceId);
  const settled: [customer: string, clockMs: number][] = [];
  const left = new Map(Object.entries(deadlines));
  let hook: (customer: string) => unknown = () => undefined;
  let inside!: Clock;
  await runInDurableObject(clock, (instance: Clock) => {
    inside = instance;
    const customer = (objectName: string) => ({
      async settle({ clockMs }: Call) {
        const name = objectName.split("/")[1]!;
        settled.push([name, clockMs!]);
        await hook(name);
        const later = (left.get(name) ?? []).filter((at) => at > clockMs!);
        left.set(name, later);
        return { next: later.length === 0 ? null : Math.min(...later) };
      },
    });
    Object.assign(instance, { env: { CUSTOMER: { getByName: customer } } });
  });
  for (const [name, times] of Object.entries(deadlines))
    await clock.register(`${namespaceId}/${name}`, Math.min(...times));
  /** `inside`: the object itself, for what happens while it works. */
  return { clock, inside, settled, namespaceId, onSettle: (to: typeof hook) => void (hook = to) };
}

describe("a test clock", () => {
  it("runs with the wall clock until it is set, then stands still, and moves forward only", async () => {
    const { clock } = await clockWith({});
    expect(await clock.now()).toBeNull();
    expect(await clock.advance(T0)).toEqual({ ok: true });
    expect(await clock.now()).toBe(T0);
    expect(await clock.advance(T0 - 1)).toEqual({ ok: false, reason: "moved_back", now: T0 });
    expect(await clock.advance(T0)).toEqual({ ok: true });
    expect(await clock.now()).toBe(T0);
  });

  it("runs the deadlines of all customers in one order of time, each at its own, before it answers", async () => {
    const { clock, settled } = await clockWith({
      a: [T0 + 1, T0 + 5, T0 + 9],
      b: [T0 + 3, T0 + 4, T0 + 20],
      c: [T0 + 5],
    });
    await clock.advance(T0 + 10);
    expect(settled).toEqual([
      ["a", T0 + 1],
      ["b", T0 + 3],
      ["b", T0 + 4],
      ["a", T0 + 5],
      ["c", T0 + 5],
      ["a", T0 + 9],
    ]);
    await clock.advance(T0 + 30);
    expect(settled.slice(6)).toEqual([["b", T0 + 20]]);
  });

  it("runs a deadline that a customer makes while the clock moves", async () => {
    const { clock, inside, settled, namespaceId, onSettle } = await clockWith({ a: [T0 + 1], b: [T0 + 50] });
    onSettle((name) => (name === "a" ? inside.register(`${namespaceId}/b`, T0 + 2) : undefined));
    await clock.advance(T0 + 10);
    expect(settled.slice(0, 2)).toEqual([
      ["a", T0 + 1],
      ["b", T0 + 2],
    ]);
  });

  it("keeps the newer deadline of a customer that registers while it is settled", async () => {
    const { clock, inside, settled, namespaceId, onSettle } = await clockWith({ a: [T0 + 1] });
    onSettle((name) => (settled.length === 1 ? inside.register(`${namespaceId}/${name}`, T0 + 7) : undefined));
    await clock.advance(T0 + 10);
    expect(settled).toEqual([
      ["a", T0 + 1],
      ["a", T0 + 7],
    ]);
  });

  it("stays where it was when a customer fails, and goes on from there when it is set again", async () => {
    const { clock, settled, onSettle } = await clockWith({ a: [T0 + 1], b: [T0 + 2], c: [T0 + 3] });
    await clock.advance(T0);
    const logged = vi.spyOn(console, "error").mockImplementation(() => {});
    let down = true;
    onSettle((name) => {
      if (name === "b" && down) throw new Error("b is down");
    });
    expect(await clock.advance(T0 + 10)).toEqual({ ok: false, reason: "not_settled" });
    expect(await clock.now()).toBe(T0);
    expect(logged).toHaveBeenCalledOnce();
    logged.mockRestore();
    down = false;
    expect(await clock.advance(T0 + 10)).toEqual({ ok: true });
    expect(settled.map(([name]) => name)).toEqual(["a", "b", "b", "c"]);
    expect(await clock.now()).toBe(T0 + 10);
  });

  it("is set by one caller at a time", async () => {
    const { clock, settled } = await clockWith({ a: [T0 + 1, T0 + 2], b: [T0 + 1, T0 + 15] });
    const answers = await Promise.all([clock.advance(T0 + 10), clock.advance(T0 + 20), clock.advance(T0 + 5)]);
    expect(answers).toEqual([{ ok: true }, { ok: true }, { ok: false, reason: "moved_back", now: T0 + 20 }]);
    expect(settled.map(([, at]) => at - T0)).toEqual([1, 1, 2, 15]);
  });

  it("runs deadlines from its alarm while the wall clock runs, and never after it was set", async () => {
    const past = Date.now() - 5;
    const { clock, settled } = await clockWith({ a: [past, Date.now() + 3_600_000] });
    await runDurableObjectAlarm(clock);
    expect(settled).toEqual([["a", past]]);
    expect(await runInDurableObject(clock, (_, state) => state.storage.getAlarm())).toBeGreaterThan(Date.now());
    await clock.advance(Date.now());
    expect(await runInDurableObject(clock, (_, state) => state.storage.getAlarm())).toBeNull();
    expect(settled).toHaveLength(1);
  });

  it("forgets the deadline of a customer that has none any more", async () => {
    const { clock, settled, namespaceId } = await clockWith({ a: [T0 + 1] });
    await clock.register(`${namespaceId}/a`, null);
    await clock.advance(T0 + 10);
    expect(settled).toEqual([]);
  });

  it("remembers where it stands when it is evicted, and writes nothing when it is only read", async () => {
    const { clock } = await clockWith({});
    await clock.now();
    expect(
      await runInDurableObject(clock, (_, { storage }) => storage.sql.exec("SELECT name FROM sqlite_master").toArray()),
    ).toEqual([]);
    await clock.advance(T0);
    await evictDurableObject(clock);
    expect(await clock.now()).toBe(T0);
  });
});
