/** Two subjects with data become one customer's while both are used: whole flows in workerd, with objects that lose their memory on the way. */
import { evictDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { expect, it } from "vitest";
import { objectName } from "../core/object-name";
import { finishLinks } from "../workers/link-customer";
import { newTenant, someEvent, startWorker } from "../workers/harness";

const WRITERS = 6;
/** Before the customer is made, and after; as many as come while it is made. */
const BATCHES_EACH = 4;
const EVENTS_EACH = 20;

it("every acknowledged event counts once when two subjects with data become one customer's under load", async () => {
  const worker = startWorker();
  const tenant = await newTenant(worker);
  const { sha256 } = worker.context();
  const key = tenant.apiKey;
  const table = { key: "t", currency: "CREDITS", rules: [{ dimension: "tokens", rate: 1, per: 1 }] };
  expect((await worker.call("POST", "/api/v1/burn-tables", { key, body: table })).status).toBe(201);
  const subjects = ["left", "right"];
  const stubs = subjects.map((subject) => env.CUSTOMER.getByName(objectName(tenant.id, subject, sha256)));

  const acknowledged = new Map<string, number>();
  /** Sends until it is taken, as a client does. */
  const send = async (path: string, body: unknown, tokens: Record<string, number>): Promise<void> => {
    for (let attempt = 0; ; attempt++) {
      const sent = await worker.call("POST", path, { key, body });
      if (sent.status === 204 || sent.status === 200) break;
      if (sent.status !== 503 || attempt === 50) throw new Error(`${sent.status} ${JSON.stringify(sent.body)}`);
    }
    for (const [id, count] of Object.entries(tokens)) acknowledged.set(id, count);
  };
  const event = (subject: string, id: string, tokens: number) =>
    someEvent({ subject, id, type: "f", source: "load", data: { usage: { tokens } } });
  const batch = async (name: string, tokens: number) => {
    const ids = Array.from({ length: EVENTS_EACH }, (_, i) => `${name}.${i}`);
    const events = ids.map((id, i) => event(subjects[i % 2]!, id, tokens));
    await send("/api/v1/events", events, Object.fromEntries(ids.map((id) => [id, tokens])));
  };
  const track = (id: string, tokens: number) =>
    send(
      "/api/v1/track",
      { customer: subjects[tokens % 2], feature: "f", usage: { tokens }, id, source: "load" },
      { [id]: tokens },
    );

  // Both have a past, some of it the same: a sender that did not know under which subject to report.
  for (const subject of subjects) {
    const past = Array.from({ length: 500 }, (_, i) => event(subject, `${subject} past ${i}`, 1));
    const shared = Array.from({ length: 50 }, (_, i) => event(subject, `shared ${i}`, 3));
    await send("/api/v1/events", [...past, ...shared], {});
    for (const { id, data } of [...past, ...shared] as unknown as { id: string; data: { usage: { tokens: number } } }[])
      acknowledged.set(id, data.usage.tokens);
    const grant = { amount: 100, kind: "paid" };
    expect((await worker.call("POST", `/api/v1/wallets/${subject}/grants`, { key, body: grant })).status).toBe(201);
  }

  let working = WRITERS;
  let isMade = false;
  const { promise: underLoad, resolve: isLoaded } = Promise.withResolvers<void>();
  const writers = Array.from({ length: WRITERS }, async (_, writer) => {
    let after = 0;
    for (let n = 0; after < BATCHES_EACH; n++) {
      await batch(`w${writer} ${n}`, 1 + (n % 3));
      await track(`t${writer} ${n}`, 1 + ((writer + n) % 4));
      if (n === BATCHES_EACH) isLoaded();
      // All of it is one process here, whose timers fire when it has nothing else to do.
      await scheduler.wait(1);
      if (isMade) after++;
    }
    working--;
  });
  const crashes = (async () => {
    for (let n = 0; working > 0; n++) {
      // A call that is running is lost with its object, and sent again.
      await evictDurableObject(stubs[n % 2]!).catch(() => undefined);
      await scheduler.wait(20);
    }
  })();
  const customer = { name: "Both", key: "both", usageAttribution: { subjectKeys: subjects } };
  await underLoad;
  const before = acknowledged.size;
  const made = await worker.call<{ id: string }>("POST", "/api/v1/customers", { key, body: customer });
  isMade = true;
  expect(made.status, JSON.stringify(made.body)).toBe(201);
  await Promise.all([...writers, crashes]);
  expect(acknowledged.size).toBeGreaterThan(before + WRITERS * BATCHES_EACH);
  await finishLinks(worker.context());

  const total = [...acknowledged.values()].reduce((sum, tokens) => sum + tokens, 0);
  for (const name of [...subjects, "both", made.body.id]) {
    const { body } = await worker.call("GET", `/api/v1/wallets/${name}`, { key });
    expect(body, name).toMatchObject({ customerId: made.body.id, balance: String(200 - total), unrated: 0 });
  }
  const verified = await worker.call("GET", "/api/v1/wallets/both/transactions/verify", { key });
  expect(verified.body).toMatchObject({ valid: true, balance: String(200 - total) });
  // All of it again, whoever it is sent under now: nothing counts twice.
  const again = [...acknowledged].map(([id, tokens], i) => event(subjects[i % 2]!, id, tokens));
  await send("/api/v1/events", again, {});
  expect((await worker.call("GET", "/api/v1/wallets/both", { key })).body).toMatchObject({
    balance: String(200 - total),
  });
  expect(worker.reports.filter(({ event: what }) => !what.includes("could not be recorded"))).toEqual([]);
}, 30_000);
