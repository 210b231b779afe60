/** Requests that are repeated, and messages that were given up. */
import { ulid } from "ulid";
import { expect, it } from "vitest";
import {
  countUnreplayed,
  findDeadLetter,
  listAllDeadLetters,
  listDeadLetters,
  markReplayed,
  recordDeadLetters,
  type NewDeadLetter,
} from "../dead-letters";
import {
  claimKey,
  findAnswer,
  IDEMPOTENCY_MS,
  isRepeat,
  purgeAnswers,
  rememberAnswer,
  type RememberedAnswer,
} from "../idempotency";
import { insertMeter, listMeters } from "../meters";
import { commit, type Store } from "../store";
import { ALL_METERS, everyPage, meter, newNamespace, NOW } from "./builders";

const WHOLE = { cursor: null, limit: 100 };

const answer = (of: Partial<RememberedAnswer> = {}): RememberedAnswer => ({
  key: "retry-1",
  route: "POST /api/v1/meters",
  bodyHash: "h1",
  status: 201,
  response: '{"sealed":true}',
  createdAt: NOW,
  ...of,
});

const letter = (of: Partial<NewDeadLetter> = {}): NewDeadLetter => ({
  id: ulid(),
  namespaceId: null,
  queue: "rating",
  body: '{"v":1}',
  reason: "did not parse: wallet",
  attempts: 20,
  createdAt: NOW,
  ...of,
});

export function requestSuite(open: () => Store): void {
  /** A mutation under an Idempotency-Key: makes a meter and remembers the answer. */
  const request = (namespaceId: string, key: string, of: Partial<RememberedAnswer> = {}) =>
    open().batch([
      insertMeter(open(), namespaceId, meter({ key })),
      ...rememberAnswer(open(), namespaceId, answer(of)),
    ]);
  const madeMeters = async (namespaceId: string) =>
    (await listMeters(open(), namespaceId, ALL_METERS)).map(({ key }) => key);

  it("remembers an answer together with the change it reports, or neither", async () => {
    const store = open();
    const namespaceId = await newNamespace(store);
    expect(await request(namespaceId, "a")).toMatchObject({ ok: true });
    expect(await findAnswer(store, namespaceId, "retry-1", NOW)).toEqual(answer());
    const refused = await request(namespaceId, "a", { key: "retry-2" });
    expect(refused).toMatchObject({ ok: false, refusal: { table: "meters" } });
    expect(!refused.ok && isRepeat(refused.refusal)).toBe(false);
    expect(await findAnswer(store, namespaceId, "retry-2", NOW)).toBe(null);
  });

  it("makes a change once under one key, also when the requests arrive together", async () => {
    const store = open();
    const namespaceId = await newNamespace(store);
    const results = await Promise.all(["a", "b", "c", "d"].map((key) => request(namespaceId, key, { response: key })));
    const winner = results.findIndex(({ ok }) => ok);
    expect(results.filter((result) => !result.ok && isRepeat(result.refusal))).toHaveLength(3);
    expect(await madeMeters(namespaceId)).toEqual(["abcd"[winner]]);
    expect((await findAnswer(store, namespaceId, "retry-1", NOW))?.response).toBe("abcd"[winner]);
  });

  it("forgets a key after 24 hours, and not before", async () => {
    const store = open();
    const namespaceId = await newNamespace(store);
    await request(namespaceId, "a");
    const end = NOW + IDEMPOTENCY_MS;
    expect(await request(namespaceId, "b", { createdAt: end - 1 })).toMatchObject({ ok: false });
    expect(await findAnswer(store, namespaceId, "retry-1", end - 1)).not.toBe(null);
    expect(await findAnswer(store, namespaceId, "retry-1", end)).toBe(null);
    expect(await request(namespaceId, "b", { createdAt: end, response: "second" })).toMatchObject({ ok: true });
    expect(await findAnswer(store, namespaceId, "retry-1", end)).toMatchObject({ response: "second" });
  });

  it("ties a key to the first request that claims it, in its own namespace", async () => {
    const store = open();
    const [ours, theirs] = [await newNamespace(store), await newNamespace(store)];
    expect(await claimKey(store, ours, answer())).toEqual({ ok: true, value: null });
    expect(await claimKey(store, ours, answer({ bodyHash: "h2" }))).toEqual({ ok: false, refusal: answer() });
    expect(await claimKey(store, theirs, answer({ bodyHash: "h2" }))).toEqual({ ok: true, value: null });
  });

  it("purges expired answers, some at a time, and no others", async () => {
    const store = open();
    const namespaceId = await newNamespace(store);
    // Long before every other test's, so that only these are expired.
    const LONG_AGO = 1_000_000;
    for (const [key, createdAt] of [
      ["a", LONG_AGO],
      ["b", LONG_AGO + 1],
      ["c", LONG_AGO + 2],
      ["d", NOW],
    ] as const) {
      await commit(store, rememberAnswer(store, namespaceId, answer({ key, createdAt })));
    }
    const now = LONG_AGO + IDEMPOTENCY_MS + 1;
    expect(await purgeAnswers(store, now, 1)).toBe(1);
    expect(await purgeAnswers(store, now, 5)).toBe(1);
    expect(await purgeAnswers(store, now, 5)).toBe(0);
    expect(await findAnswer(store, namespaceId, "c", LONG_AGO + 2)).not.toBe(null);
    expect(await findAnswer(store, namespaceId, "d", NOW)).not.toBe(null);
  });

  it("records a given-up message once, with its reason, however often it is delivered", async () => {
    const store = open();
    const namespaceId = await newNamespace(store);
    const given = letter({ namespaceId, body: JSON.stringify({ text: "x".repeat(120_000) }) });
    await recordDeadLetters(store, [given]);
    await recordDeadLetters(store, [given, { ...given, reason: "another" }]);
    expect((await listDeadLetters(store, namespaceId, WHOLE)).items).toEqual([{ ...given, replayedAt: null }]);
  });

  it("marks a dead letter as replayed once, and counts those that still wait", async () => {
    const store = open();
    const namespaceId = await newNamespace(store);
    const [one, two] = [letter({ namespaceId }), letter({ namespaceId })];
    await recordDeadLetters(store, [one, two]);
    expect(await countUnreplayed(store, namespaceId)).toBe(2);
    await markReplayed(store, namespaceId, one.id, NOW);
    await markReplayed(store, namespaceId, one.id, NOW + 1);
    expect(await findDeadLetter(store, namespaceId, one.id)).toMatchObject({ replayedAt: NOW });
    expect(await countUnreplayed(store, namespaceId)).toBe(1);
  });

  it("lists dead letters newest first; those of no namespace are the operator's alone", async () => {
    const store = open();
    const namespaceId = await newNamespace(store);
    const ours = [1, 2, 3].map((n) => letter({ id: ulid(NOW + n), namespaceId }));
    const nobodys = letter({ id: ulid(NOW + 4) });
    await recordDeadLetters(store, [...ours, nobodys]);
    const ids = (letters: { id: string }[]) => letters.map(({ id }) => id);
    expect(ids(await everyPage((page) => listDeadLetters(store, namespaceId, page), 2))).toEqual(
      ids(ours.toReversed()),
    );
    expect(await findDeadLetter(store, namespaceId, nobodys.id)).toBe(null);
    const all = ids(await everyPage((page) => listAllDeadLetters(store, page), 2));
    expect(all.filter((id) => [...ours, nobodys].some((one) => one.id === id))).toEqual(
      ids([nobodys, ...ours.toReversed()]),
    );
    expect(await findDeadLetter(store, null, nobodys.id)).toMatchObject({ id: nobodys.id });
    await markReplayed(store, null, nobodys.id, NOW);
    expect(await findDeadLetter(store, null, nobodys.id)).toMatchObject({ replayedAt: NOW });
  });
}
