import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { BufferFullError, UndeliveredError, type Undelivered } from "./batch";
import { double, problem, type Outcome, type Seen } from "./double";
import { InvalidInputError, OverloadedError } from "./errors";

const ok: Outcome = { status: 204 };
const bodies = (seen: Seen[]) => seen.map(({ body }) => JSON.parse(body) as { id: string; [name: string]: unknown }[]);
const fact = (n: number) => ({ userId: "u1", feature: "f", usage: { n }, id: `e${n}` });
const ids = (events: { id?: string }[]) => events.map(({ id }) => id);

describe("a batch", () => {
  it("sends a full call at once, and a part-filled one when its oldest event has waited maxWaitMs", async () => {
    const d = double(() => ok);
    const batch = d.tg.batch({ maxEvents: 3, maxWaitMs: 500 });
    const startedMs = d.nowMs();
    for (let n = 0; n < 4; n++) await batch.track(fact(n));
    await new Promise((resolve) => setImmediate(resolve));
    expect(bodies(d.seen).map(ids)).toEqual([["e0", "e1", "e2"]]);
    const later = new Promise<void>((resolve) => void batchIsEmpty().then(resolve));
    async function batchIsEmpty() {
      while (batch.size > 0) await new Promise((resolve) => setImmediate(resolve));
    }
    await d.settle(later);
    expect(bodies(d.seen).map(ids)).toEqual([["e0", "e1", "e2"], ["e3"]]);
    expect(d.nowMs() - startedMs).toBe(500);
  });

  it("sends each usage fact as the CloudEvent that the single road would make of it", async () => {
    const d = double(() => ok);
    const batch = d.tg.batch();
    await batch.track({
      customer: "u1",
      feature: "chat",
      usage: { inputTokens: 2n ** 53n + 1n, outputTokens: "0.10", requests: 1 },
      provider: "openai",
      model: "gpt-4o",
      metadata: { team: "blue" },
      time: new Date(0),
    });
    await d.settle(batch.close());
    expect(d.seen[0]?.path).toBe("/api/v1/events");
    expect(d.seen[0]?.headers.get("content-type")).toBe("application/cloudevents-batch+json");
    expect(d.seen[0]?.body).toBe(
      '[{"type":"chat","subject":"u1",' +
        '"data":{"team":"blue","usage":{"inputTokens":9007199254740993,"outputTokens":0.10,"requests":1},"provider":"openai","model":"gpt-4o"},' +
        '"time":"1970-01-01T00:00:00.000Z","id":"id-1","source":"@tollgate/sdk","specversion":"1.0"}]',
    );
  });

  it("stamps an event with the time when it was added, not when it left", async () => {
    const d = double(() => ok);
    const batch = d.tg.batch({ maxWaitMs: 60_000 });
    const addedMs = d.nowMs();
    await batch.track(fact(1));
    await d.settle(new Promise((resolve) => setImmediate(resolve)));
    await d.settle(batch.flush());
    expect(bodies(d.seen)[0]?.[0]?.time).toBe(new Date(addedMs).toISOString());
  });

  it("sends an event as it was when it was added, whatever happens to the object since", async () => {
    const d = double(() => ok);
    const batch = d.tg.batch();
    const data = { n: 1 };
    await batch.add({ type: "t", subject: "u1", data });
    data.n = 2;
    await d.settle(batch.flush());
    expect(bodies(d.seen)[0]?.[0]?.data).toEqual({ n: 1 });
  });

  it("refuses what it could not send alone, at once, and keeps the others", async () => {
    const d = double(() => ok);
    const batch = d.tg.batch();
    await batch.track(fact(1));
    await expect(batch.track({ ...fact(2), usage: { n: Number.NaN } })).rejects.toBeInstanceOf(InvalidInputError);
    await expect(batch.track({ ...fact(3), usage: { n: "1e" } })).rejects.toThrow(/usage\.n is "1e"/);
    await expect(batch.track({ ...fact(4), enforce: true } as never)).rejects.toThrow(/takes no "enforce"/);
    await expect(batch.track({ ...fact(5), metadata: { feature: "g" } })).rejects.toThrow(/metadata\.feature/);
    await expect(batch.track({ ...fact(6), metadata: { text: "é".repeat(140_000) } })).rejects.toThrow(
      /larger than 262144 bytes/,
    );
    await d.settle(batch.flush());
    expect(bodies(d.seen).map(ids)).toEqual([["e1"]]);
  });
});

it("a call stays below the server's 10 MiB, however large its events are", async () => {
  const d = double(() => ok);
  const batch = d.tg.batch({ maxEvents: 1_000 });
  for (let n = 0; n < 100; n++) await batch.track({ ...fact(n), metadata: { text: "€".repeat(80_000) } });
  await d.settle(batch.flush());
  for (const { body } of d.seen) expect(new TextEncoder().encode(body).length).toBeLessThanOrEqual(10 * 1024 * 1024);
  expect(bodies(d.seen).flatMap(ids)).toHaveLength(100);
});

describe("the buffer", () => {
  it("never holds more than maxBuffered, and add waits for room", async () => {
    const d = double(() => ok);
    const batch = d.tg.batch({ maxEvents: 4, maxBuffered: 8, maxWaitMs: 100, concurrency: 1 });
    let most = 0;
    const adds = Array.from({ length: 50 }, async (_, n) => {
      await batch.track(fact(n));
      most = Math.max(most, batch.size);
    });
    await d.settle(Promise.all(adds));
    await d.settle(batch.flush());
    expect(most).toBe(8);
    expect(new Set(bodies(d.seen).flatMap(ids))).toEqual(new Set(Array.from({ length: 50 }, (_, n) => `e${n}`)));
    expect(bodies(d.seen).flat()).toHaveLength(50);
  });

  it("does not wait for its timer when it is full", async () => {
    const d = double(() => ok);
    const batch = d.tg.batch({ maxEvents: 100, maxBuffered: 2, maxWaitMs: 3_600_000 });
    const startedMs = d.nowMs();
    for (let n = 0; n < 5; n++) await d.settle(batch.track(fact(n)));
    expect(d.nowMs()).toBe(startedMs);
  });

  it('rejects with a typed error at once, with whenFull: "reject"', async () => {
    const d = double(() => "hang");
    const batch = d.tg.batch({ maxBuffered: 1, whenFull: "reject" });
    await batch.track(fact(1));
    const error: unknown = await batch.track(fact(2)).catch((e: unknown) => e);
    expect(error).toBeInstanceOf(BufferFullError);
    expect(error).toMatchObject({ code: "buffer-full", status: 0 });
    expect(batch.size).toBe(1);
  });

  it("full of undelivered events is an error, not a wait for ever", async () => {
    const d = double(() => problem(400, null));
    const batch = d.tg.batch({ maxEvents: 1, maxBuffered: 2 });
    const adds = [1, 2, 3].map((n) => batch.track(fact(n)).catch((e: unknown) => e));
    const [, , third] = await d.settle(Promise.all(adds));
    expect(third).toBeInstanceOf(BufferFullError);
    await expect(d.settle(batch.flush())).rejects.toBeInstanceOf(UndeliveredError);
    expect(batch.size).toBe(0);
    await d.settle(batch.track(fact(4)));
  });
});

describe("flush", () => {
  it("rejects with exactly what was not delivered, and the reason, once", async () => {
    const d = double(({ body }) => (body.includes('"e1"') ? problem(400, null) : ok));
    const batch = d.tg.batch({ maxEvents: 2 });
    for (let n = 0; n < 6; n++) await batch.track(fact(n));
    const error = (await d.settle(batch.flush()).catch((e: unknown) => e)) as UndeliveredError;
    expect(error).toBeInstanceOf(UndeliveredError);
    expect(ids(error.events)).toEqual(["e0", "e1"]);
    expect(error).toMatchObject({
      status: 400,
      code: "undelivered",
      detail: "2 events were not delivered: detail of 400",
    });
    await expect(d.settle(batch.flush())).resolves.toBeUndefined();
  });

  it("hands back events that can be added again as the same events", async () => {
    let up = false;
    const d = double(() => (up ? ok : problem(400, null)));
    const batch = d.tg.batch();
    await batch.track({ userId: "u1", feature: "f", usage: { n: 1 } });
    const error = (await d.settle(batch.flush()).catch((e: unknown) => e)) as UndeliveredError;
    up = true;
    for (const event of error.events) await batch.add(event);
    await d.settle(batch.flush());
    expect(d.seen[1]?.body).toBe(d.seen[0]?.body);
  });

  it("delivers the good events of a call that one bad event spoils, and hands back the bad one alone", async () => {
    const stored: string[] = [];
    const d = double(({ body }) => {
      const events = JSON.parse(body) as { id: string }[];
      const index = events.findIndex(({ id }) => id === "e1" || id === "e3");
      if (index >= 0) return problem(400, null, { validationErrors: [{ index, field: "id", message: "is bad" }] });
      stored.push(...ids(events).map(String));
      return ok;
    });
    const batch = d.tg.batch({ maxEvents: 5 });
    for (let n = 0; n < 5; n++) await batch.track(fact(n));
    const error = (await d.settle(batch.flush()).catch((e: unknown) => e)) as UndeliveredError;
    expect(ids(error.events)).toEqual(["e1", "e3"]);
    expect(stored).toEqual(["e0", "e2", "e4"]);
    expect(d.seen).toHaveLength(3);
  });

  it("does not repeat a call that met overload", async () => {
    const d = double(() => problem(503, "overloaded"));
    const batch = d.tg.batch();
    await batch.track(fact(1));
    const error = (await d.settle(batch.flush()).catch((e: unknown) => e)) as UndeliveredError;
    expect(error.undelivered[0]?.error).toBeInstanceOf(OverloadedError);
    expect(d.seen).toHaveLength(1);
  });

  it("has an end while others keep adding", async () => {
    const d = double(async (_, attempt) => {
      // Whenever a call is under way, the next event is there before it ends: the buffer is never empty.
      if (attempt < 50) await batch.track(fact(attempt));
      return ok;
    });
    const batch = d.tg.batch({ maxEvents: 1, concurrency: 1 });
    await batch.track(fact(0));
    const callsUntilFlushed = await d.settle(batch.flush().then(() => d.seen.length));
    expect(callsUntilFlushed).toBeLessThan(10);
    await d.settle(batch.close());
    expect(bodies(d.seen).flatMap(ids)).toHaveLength(50);
  });
});

it("close delivers what is there and takes no more", async () => {
  const d = double(() => ok);
  const batch = d.tg.batch();
  await batch.track(fact(1));
  await d.settle(batch.close());
  expect(bodies(d.seen).map(ids)).toEqual([["e1"]]);
  await expect(batch.track(fact(2))).rejects.toThrow(/closed/);
});

it("onUndelivered takes failed events at once, so that nothing piles up", async () => {
  const taken: Undelivered[] = [];
  const d = double(() => problem(400, null));
  const batch = d.tg.batch({ maxEvents: 2, onUndelivered: (undelivered) => taken.push(undelivered) });
  for (let n = 0; n < 4; n++) await batch.track(fact(n));
  await d.settle(batch.flush());
  expect(taken.flatMap(({ events }) => ids(events))).toEqual(["e0", "e1", "e2", "e3"]);
  expect(batch.size).toBe(0);
});

it("the client's batch options are where every batch starts", async () => {
  const d = double(() => ok, { batch: { maxEvents: 2 } });
  const batch = d.tg.batch({ maxWaitMs: 5 });
  for (let n = 0; n < 4; n++) await batch.track(fact(n));
  await d.settle(batch.flush());
  expect(bodies(d.seen).map(ids)).toEqual([
    ["e0", "e1"],
    ["e2", "e3"],
  ]);
  expect(() => d.tg.batch({ maxEvents: 0 })).toThrow(/maxEvents is 0/);
});

it("delivers each event once or hands it back, under any failures and any limits", async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.integer({ min: 0, max: 60 }),
      fc.record({
        maxEvents: fc.integer({ min: 1, max: 20 }),
        maxBuffered: fc.integer({ min: 1, max: 40 }),
        maxWaitMs: fc.integer({ min: 0, max: 50 }),
        concurrency: fc.integer({ min: 1, max: 4 }),
      }),
      fc.array(
        fc.constantFrom<Outcome | "lost">(
          ok,
          ok,
          ok,
          "no-answer",
          "lost",
          problem(500, null),
          problem(400, null),
          problem(503, "overloaded"),
        ),
        { maxLength: 30 },
      ),
      async (count, limits, plan) => {
        const stored = new Map<string, number>();
        const d = double(({ body }, attempt) => {
          const outcome = plan[attempt - 1] ?? ok;
          if (outcome === ok || outcome === "lost")
            for (const { id } of JSON.parse(body) as { id: string }[]) stored.set(id, (stored.get(id) ?? 0) + 1);
          return outcome === "lost" ? "no-answer" : outcome;
        });
        const handedBack: string[] = [];
        const batch = d.tg.batch(limits);
        const take = (error: unknown) => {
          if (!(error instanceof UndeliveredError)) throw error;
          handedBack.push(...error.events.map(({ id }) => id ?? ""));
        };
        for (let n = 0; n < count; n++) {
          await d.settle(batch.track(fact(n))).catch(async (error: unknown) => {
            if (!(error instanceof BufferFullError)) throw error;
            await d.settle(batch.flush()).catch(take);
            await d.settle(batch.track(fact(n)));
          });
          expect(batch.size).toBeLessThanOrEqual(limits.maxBuffered);
        }
        await d.settle(batch.close()).catch(take);
        expect(batch.size).toBe(0);
        expect(new Set(handedBack).size).toBe(handedBack.length);
        for (let n = 0; n < count; n++) {
          // A handed-back event may be stored all the same: its answer was lost. A stored or handed-back one is never lost.
          expect(stored.has(`e${n}`) || handedBack.includes(`e${n}`)).toBe(true);
        }
      },
    ),
    { numRuns: 150 },
  );
});
