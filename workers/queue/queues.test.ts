/** The consumers at message level: redelivered, reordered, split and poisoned batches, with every acknowledgement asserted. */
import { createExecutionContext, createMessageBatch, getQueueResult } from "cloudflare:test";
import { beforeAll, describe, expect, it } from "vitest";
import type { SpillMessage } from "../../schema/messages";
import { newTenant, startWorker, type Tenant, type Worker } from "../harness";
import { consumers } from "./index";
import { SPILL_ATTEMPTS_MAX } from "./spill";
import { RATING_ATTEMPTS_MAX } from "./rating";

interface Sent {
  id: string;
  body: unknown;
  attempts?: number;
}

/** What a consumer did with each message of a batch. */
async function deliver(worker: Worker, queue: string, messages: Sent[]) {
  const batch = createMessageBatch(
    queue,
    messages.map(({ id, body, attempts = 1 }) => ({ id, body, attempts, timestamp: new Date(1_800_000_000_000) })),
  );
  const delays = new Map<string, number | undefined>();
  for (const message of batch.messages) {
    const retry = message.retry.bind(message);
    message.retry = (options) => {
      delays.set(message.id, options?.delaySeconds);
      retry(options);
    };
  }
  await consumers[queue]!(batch, worker.context());
  const result = await getQueueResult(batch, createExecutionContext());
  return {
    acked: result.explicitAcks.toSorted(),
    retried: result.retryMessages.map(({ msgId }) => [msgId, delays.get(msgId)]),
  };
}

let nth = 0;
const usage = (subject: string, id: string, tokens: number) => ({
  id,
  source: "spilled",
  type: "request",
  subject,
  time: 1_800_000_000_000,
  data: { usage: { tokens } },
});
const spilled = (tenant: Tenant, name: string, events: object[]): Sent => ({
  id: `m${nth++}`,
  body: {
    v: 1,
    namespaceId: tenant.id,
    name,
    configVersion: 1,
    eventsJson: JSON.stringify(events),
    receivedAt: 1,
  } satisfies SpillMessage,
});

const worker = startWorker();
let tenant: Tenant;

const balance = async (customer: string) =>
  (await worker.call<{ balance: string }>("GET", `/api/v1/wallets/${customer}`, { key: tenant.apiKey })).body.balance;
const letters = async () =>
  (
    await worker.call<{
      items: { id: string; queue: string; reason: string; message: unknown; replayedAt: string | null }[];
    }>("GET", "/api/v1/dead-letters", { key: tenant.apiKey })
  ).body.items;

beforeAll(async () => {
  tenant = await newTenant(worker);
  const table = {
    key: "standard",
    currency: "CREDITS",
    effectiveFrom: "2020-01-01T00:00:00Z",
    rules: [{ dimension: "tokens", rate: 1, per: 1 }],
  };
  expect((await worker.call("POST", "/api/v1/burn-tables", { key: tenant.apiKey, body: table })).status).toBe(201);
});

describe("the spill queue", () => {
  it("ends in the same totals however its messages are redelivered, reordered and split", async () => {
    const events = Array.from({ length: 12 }, (_, i) => usage("shuffled", `e${i}`, i));
    const whole = spilled(tenant, "shuffled", events);
    const parts = [0, 3, 6, 9].map((from) => spilled(tenant, "shuffled", events.slice(from, from + 3)));
    const again = parts.map(({ body }) => ({ id: `again${nth++}`, body }));
    const delivery = [parts[2]!, again[1]!, parts[0]!, whole, parts[3]!, again[0]!, again[3]!, parts[1]!, again[2]!];
    for (const messages of [delivery.slice(0, 4), delivery.slice(4), delivery.toReversed()]) {
      expect(await deliver(worker, "spill", messages)).toEqual({
        acked: messages.map(({ id }) => id).toSorted(),
        retried: [],
      });
    }
    expect(await balance("shuffled")).toBe(String(-events.reduce((sum, { data }) => sum + data.usage.tokens, 0)));
  });

  it("counts once what came by the direct road too", async () => {
    const { time: _, ...event } = usage("both", "e1", 5);
    const sent = await worker.call("POST", "/api/v1/events", {
      key: tenant.apiKey,
      body: [{ specversion: "1.0", ...event }],
    });
    expect(sent.status).toBe(204);
    await deliver(worker, "spill", [spilled(tenant, "both", [usage("both", "e1", 5)])]);
    expect(await balance("both")).toBe("-5");
  });

  it("retries a failing object's message alone, later each time, and acknowledges the others", async () => {
    const failing = startWorker({
      override: (context) => ({
        customer(name) {
          if (Buffer.from(name.split("/")[1]!, "base64url").toString() === "down") throw new Error("down");
          return context.customer(name);
        },
      }),
    });
    const [fine, down] = [
      spilled(tenant, "fine", [usage("fine", "1", 2)]),
      spilled(tenant, "down", [usage("down", "1", 2)]),
    ];
    expect(await deliver(failing, "spill", [down, fine])).toEqual({ acked: [fine.id], retried: [[down.id, 10]] });
    expect(await deliver(failing, "spill", [{ ...down, attempts: 4 }])).toEqual({
      acked: [],
      retried: [[down.id, 80]],
    });
    expect(await deliver(failing, "spill", [{ ...down, attempts: 20 }])).toEqual({
      acked: [],
      retried: [[down.id, 3_600]],
    });
    expect(await balance("fine")).toBe("-2");
    expect(await letters()).toEqual([]);

    // The last attempt: given up with its reason, once, and applied when somebody replays it.
    const last = { ...down, attempts: SPILL_ATTEMPTS_MAX };
    expect(await deliver(failing, "spill", [last])).toEqual({ acked: [down.id], retried: [] });
    expect(await deliver(failing, "spill", [last])).toEqual({ acked: [down.id], retried: [] });
    expect(await letters()).toMatchObject([
      {
        queue: "spill",
        reason: `gave up after ${SPILL_ATTEMPTS_MAX} attempts: down`,
        message: down.body,
        replayedAt: null,
      },
    ]);
    const { id } = (await letters())[0]!;
    for (const _ of [1, 2]) {
      const replayed = await worker.call("POST", `/api/v1/dead-letters/${id}/replay`, { key: tenant.apiKey });
      expect(replayed).toMatchObject({ status: 200, body: { id, replayedAt: expect.any(String) } });
    }
    expect(await balance("down")).toBe("-2");
  });

  it("gives up at once what no attempt can apply", async () => {
    const before = (await letters()).length;
    const poison: Sent = { id: "poison", body: { v: 1, namespaceId: tenant.id, events: "?" } };
    const homeless: Sent = { ...spilled(tenant, "x", [usage("x", "1", 1)]), id: "homeless" };
    (homeless.body as SpillMessage).namespaceId = "nowhere";
    expect(await deliver(worker, "spill", [poison, homeless, { id: "null", body: null }])).toEqual({
      acked: ["homeless", "null", "poison"],
      retried: [],
    });
    const found = await letters();
    expect(found).toHaveLength(before + 1);
    expect(found.find(({ reason }) => reason.startsWith("not a spill message"))?.message).toEqual(poison.body);
    const replay = await worker.call(
      "POST",
      `/api/v1/dead-letters/${found.find(({ reason }) => reason.startsWith("not a"))!.id}/replay`,
      { key: tenant.apiKey },
    );
    expect(replay.status).toBe(422);
  });
});

const rating = (over: Record<string, unknown> = {}): Sent => ({
  id: `r${nth++}`,
  body: {
    v: 1,
    namespaceId: tenant.id,
    object: `${tenant.id}/cmF0ZWQ`,
    epoch: "01JD8ZQ6M5T9W3XK2V7B4C1N0R",
    seq: 1,
    sentAt: 1,
    customer: {
      id: "01JD8ZQ6M5T9W3XK2V7B4C1N0S",
      key: "rated",
      name: null,
      home: `${tenant.id}/cmF0ZWQ`,
      createdAt: 1,
    },
    rollups: [],
    eventCount: 1,
    ...over,
  },
});
const eventCount = async () =>
  (await worker.call<{ events: number }>("GET", "/api/v1/status", { key: tenant.apiKey })).body.events;

describe("the rating queue", () => {
  it("keeps the newest running total, however messages arrive", async () => {
    const before = await eventCount();
    const [one, two, three] = [1, 2, 3].map((seq) => rating({ seq, eventCount: seq * 10 })) as [Sent, Sent, Sent];
    for (const messages of [[two], [three, one], [one, two, { ...three, id: "r3again" }]]) {
      expect(await deliver(worker, "rating", messages)).toEqual({
        acked: messages.map(({ id }) => id).toSorted(),
        retried: [],
      });
    }
    expect(await eventCount()).toBe(before + 30);
  });

  it("gives up a message that does not parse, and applies the others", async () => {
    const before = await eventCount();
    const poison: Sent = { id: "bad", body: { v: 2, namespaceId: tenant.id } };
    const good = rating({ seq: 4, eventCount: 41 });
    expect(await deliver(worker, "rating", [poison, good])).toEqual({
      acked: ["bad", good.id].toSorted(),
      retried: [],
    });
    expect(await eventCount()).toBe(before + 11);
    expect((await letters()).some(({ queue }) => queue === "rating")).toBe(true);
  });

  it("retries all of a batch that the store refuses, then one by one, and gives up with the reason", async () => {
    const down = startWorker({
      override: () => ({
        store: new Proxy({} as never, {
          get: () => {
            throw new Error("no database");
          },
        }),
      }),
    });
    const messages = [rating({ seq: 5 }), rating({ seq: 6 })];
    expect(await deliver(down, "rating", messages)).toEqual({ acked: [], retried: messages.map(({ id }) => [id, 10]) });
    const late = messages.map((message) => ({ ...message, attempts: 5 }));
    expect(await deliver(down, "rating", late)).toEqual({ acked: [], retried: messages.map(({ id }) => [id, 160]) });
    // Even the record of giving up needs the store: then it stays in the queue.
    const last = messages.map((message) => ({ ...message, attempts: RATING_ATTEMPTS_MAX }));
    expect((await deliver(down, "rating", last)).acked).toEqual([]);
  });
});

describe("the dead-letter queue", () => {
  it("records what the platform gave up, by the queue it came from, once", async () => {
    const before = (await letters()).length;
    const message = spilled(tenant, "dead", [usage("dead", "1", 3)]);
    for (const _ of [1, 2])
      expect(await deliver(worker, "dead", [message])).toEqual({ acked: [message.id], retried: [] });
    const found = await letters();
    expect(found).toHaveLength(before + 1);
    const letter = found.find(({ reason }) => reason.startsWith("the platform gave up"))!;
    expect(letter).toMatchObject({ queue: "spill", message: message.body });
    expect((await worker.call("POST", `/api/v1/dead-letters/${letter.id}/replay`, { key: tenant.apiKey })).status).toBe(
      200,
    );
    expect(await balance("dead")).toBe("-3");
  });
});

it("throws for a queue or a schedule that nobody reads", async () => {
  const { default: doors } = await import("../index");
  const { env } = worker.context();
  await expect(doors.queue(createMessageBatch("unknown", []), env, createExecutionContext())).rejects.toThrow(
    "unknown",
  );
  await expect(
    doors.scheduled(
      { cron: "0 0 1 1 *", scheduledTime: 0, noRetry() {} } as ScheduledController,
      env,
      createExecutionContext(),
    ),
  ).rejects.toThrow("0 0 1 1 *");
});
