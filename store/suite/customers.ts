/** Customers, their names and their subjects: whose a name is, under whatever happens at the same time. */
import { ulid } from "ulid";
import { expect, it } from "vitest";
import type { Projected } from "../customers";
import { applyRating } from "../apply-rating";
import {
  claimsOn,
  homesOfSubject,
  markLinked,
  namesOf,
  ownersOf,
  subjectsOf,
  unlinkedNames,
  unlinkedNamesOf,
  type Names,
} from "../customer-subjects";
import {
  createCustomer,
  customerIdsAmong,
  deleteCustomer,
  findCustomer,
  listCustomers,
  updateCustomer,
  type CustomerDetails,
  type CustomerRow,
} from "../customers";
import { abandonMerge, finishMerge, namespacesToLink, openMerges, startMerge } from "../merges";
import { rememberAnswer } from "../idempotency";
import { commit, type Store } from "../store";
import { deleteSubject, findSubject, listSubjects, newSubject, saveSubjects, subjectsAmong } from "../subjects";
import { ALL_CUSTOMERS, customer, newNamespace, NOW, rating } from "./builders";

const TAKEN = { ok: false, refusal: { reason: "name_taken" } };
const CHANGED = { ok: false, refusal: { reason: "changed" } };
const DETAILS: CustomerDetails = {
  name: "ACME Inc.",
  description: null,
  primaryEmail: null,
  currency: null,
  billingAddress: null,
  metadata: null,
};

export function customerSuite(open: () => Store): void {
  const create = (row: CustomerRow, subjectKeys: readonly string[] = []) =>
    createCustomer(open(), row, subjectKeys, ulid);
  const update = (row: CustomerRow, to: Partial<CustomerDetails> & Names, now = NOW + 1_000) =>
    updateCustomer(open(), row, { ...DETAILS, ...to }, ulid, now);
  const made = async (of: Partial<CustomerRow> & { namespaceId: string }, subjectKeys: readonly string[] = []) => {
    const row = customer(of);
    expect(await create(row, subjectKeys)).toEqual({ ok: true, value: null });
    return row;
  };
  const live = async (namespaceId: string, idOrKey: string) => (await findCustomer(open(), namespaceId, idOrKey))?.id;
  const namesIn = async (row: CustomerRow) =>
    (await namesOf(open(), row)).map(({ subjectKey, place }) => [subjectKey, place]);
  const project = (namespaceId: string, of: Partial<Projected>) =>
    applyRating(open(), [
      rating({
        namespaceId,
        seq: 1,
        customer: { id: ulid(), key: "k", name: null, home: `${namespaceId}/h`, createdAt: NOW, ...of } as never,
      }),
    ]);

  it("finds a customer by id and by key, and a deleted one by its id alone", async () => {
    const namespaceId = await newNamespace(open());
    const details = {
      description: "ä'\"",
      primaryEmail: "a@example.com",
      currency: "EUR",
      billingAddress: { country: "HU", city: "Budapest" },
      metadata: { a: "ü", b: "" },
    };
    const row = await made({ namespaceId, key: "acme", ...details }, ["s2", "s1"]);
    for (const idOrKey of [row.id, "acme"]) expect(await findCustomer(open(), namespaceId, idOrKey)).toEqual(row);
    for (const other of ["s1", "ACME", ulid()]) expect(await findCustomer(open(), namespaceId, other)).toBe(null);
    expect(await subjectsOf(open(), namespaceId, [row.id])).toEqual(new Map([[row.id, ["s1", "s2"]]]));
    const deleted = await deleteCustomer(open(), row, NOW + 5);
    expect(deleted).toEqual({ ok: true, value: { ...row, updatedAt: NOW + 5, deletedAt: NOW + 5 } });
    for (const idOrKey of [row.id, "acme"]) expect(await findCustomer(open(), namespaceId, idOrKey)).toBe(null);
    expect(await findCustomer(open(), namespaceId, row.id, { deleted: true })).toMatchObject({ deletedAt: NOW + 5 });
    expect(await findCustomer(open(), namespaceId, "acme", { deleted: true })).toBe(null);
    // What it had to the end.
    expect(await subjectsOf(open(), namespaceId, [row.id])).toEqual(new Map([[row.id, ["s1", "s2"]]]));
    expect(await customerIdsAmong(open(), namespaceId, [row.id, "acme", "x"])).toEqual([row.id]);
  });

  it.each<[string, Names, Names]>([
    ["two keys", { key: "a", subjectKeys: [] }, { key: "a", subjectKeys: ["b"] }],
    ["a subject and a subject", { key: "a", subjectKeys: ["s"] }, { key: "b", subjectKeys: ["t", "s"] }],
    ["a key and a subject", { key: "a", subjectKeys: ["s"] }, { key: "b", subjectKeys: ["a"] }],
    ["a subject and a key", { key: "a", subjectKeys: ["b"] }, { key: "b", subjectKeys: [] }],
  ])("keeps a name one customer's: %s", async (_, first, second) => {
    const namespaceId = await newNamespace(open());
    const [one, two] = [customer({ namespaceId, key: first.key }), customer({ namespaceId, key: second.key })];
    expect(await create(one, first.subjectKeys)).toEqual({ ok: true, value: null });
    expect(await create(two, second.subjectKeys)).toEqual(TAKEN);
    expect(await findCustomer(open(), namespaceId, two.id)).toBe(null);
    expect(await namesIn(two)).toEqual([]);
    const other = await made({ namespaceId, key: "other" });
    expect(await update(other, second)).toEqual(TAKEN);
    expect(await namesIn(other)).toEqual([["other", -1]]);
    await deleteCustomer(open(), one, NOW + 5);
    expect(await create(two, second.subjectKeys)).toEqual({ ok: true, value: null });
  });

  it("takes the same name for key and subject of one customer, and each once", async () => {
    const namespaceId = await newNamespace(open());
    const row = await made({ namespaceId, key: "a" }, ["b", "a", "b"]);
    expect(await namesIn(row)).toEqual([
      ["b", 0],
      ["a", 1],
    ]);
    const keyOnly = await update(row, { key: "a", subjectKeys: ["b"] });
    expect(await namesIn(row)).toEqual([
      ["a", -1],
      ["b", 0],
    ]);
    expect(await subjectsOf(open(), namespaceId, [row.id])).toEqual(new Map([[row.id, ["b"]]]));
    const { value } = keyOnly as { value: CustomerRow };
    await update(value, { key: null, subjectKeys: ["a", "b"] });
    expect((await namesIn(row)).map(([name]) => String(name)).sort()).toEqual(["a", "b"]);
    expect(await subjectsOf(open(), namespaceId, [row.id])).toEqual(new Map([[row.id, ["a", "b"]]]));
    expect(await live(namespaceId, "a")).toBe(undefined);
  });

  it("makes one customer of many calls at once, and nothing of the others", async () => {
    const namespaceId = await newNamespace(open());
    const rows = [0, 1, 2, 3, 4, 5].map((n) =>
      customer({ namespaceId, key: n % 2 === 0 ? "k" : `k${n}`, createdAt: NOW + n, updatedAt: NOW + n }),
    );
    const results = await Promise.all(rows.map((row, n) => create(row, n % 3 === 0 ? ["s", `s${n}`] : [`s${n}`, "s"])));
    const winners = rows.filter((_, n) => results[n]?.ok);
    expect(winners).toHaveLength(1);
    expect(results.filter(({ ok }) => !ok)).toEqual(Array(5).fill(TAKEN));
    expect((await listCustomers(open(), namespaceId, ALL_CUSTOMERS)).items).toEqual(winners);
    for (const row of rows) expect(await namesIn(row)).toHaveLength(row === winners[0] ? 3 : 0);
  });

  it("changes a customer once for each reading of it", async () => {
    const namespaceId = await newNamespace(open());
    const row = await made({ namespaceId, key: "k" }, ["a"]);
    const results = await Promise.all(
      [1, 2, 3, 4].map((n) => update(row, { key: `k${n}`, subjectKeys: [`s${n}`] }, NOW)),
    );
    const winners = results.flatMap((result) => (result.ok ? [result.value] : []));
    expect(winners).toHaveLength(1);
    expect(results.filter(({ ok }) => !ok)).toEqual(Array(3).fill(CHANGED));
    const [winner] = winners as [CustomerRow];
    expect(await findCustomer(open(), namespaceId, row.id)).toEqual(winner);
    expect(await namesIn(row)).toEqual([
      [winner.key, -1],
      [winner.key?.replace("k", "s"), 0],
    ]);
    // Later than the reading, though the clock stands still.
    expect(winner.updatedAt).toBe(NOW + 1);
    expect(await deleteCustomer(open(), row, NOW)).toEqual(CHANGED);
    expect(await deleteCustomer(open(), winner, NOW)).toMatchObject({ ok: true, value: { deletedAt: NOW + 2 } });
    expect(await deleteCustomer(open(), winner, NOW)).toEqual(CHANGED);
    expect(await update(winner, { key: "z", subjectKeys: [] })).toEqual(CHANGED);
    expect(await namesIn(row)).toEqual([]);
  });

  it("takes over the customer that an object reported, and deletes those whose names it has", async () => {
    const namespaceId = await newNamespace(open());
    const [id, other, stranger] = [ulid(), ulid(), ulid()];
    await project(namespaceId, { id, key: "a" });
    await project(namespaceId, { id: other, key: "b" });
    await project(namespaceId, { id: stranger, key: "c" });
    const row = await made({ namespaceId, id, key: "acme", createdAt: NOW + 9, updatedAt: NOW + 9 }, ["a", "b"]);
    expect(await findCustomer(open(), namespaceId, id)).toEqual(row);
    expect(await findCustomer(open(), namespaceId, "b")).toBe(null);
    expect(await findCustomer(open(), namespaceId, other, { deleted: true })).toMatchObject({ deletedAt: NOW + 9 });
    expect(await live(namespaceId, "c")).toBe(stranger);
    // The objects go on reporting what they knew.
    await project(namespaceId, { id, key: "a" });
    await project(namespaceId, { id: ulid(), key: "b" });
    expect(await findCustomer(open(), namespaceId, id)).toEqual(row);
    expect(await live(namespaceId, "b")).toBe(undefined);
    // A second one with this id is no first one.
    expect(await create(customer({ namespaceId, id, key: "z" }))).toEqual({
      ok: false,
      refusal: { reason: "id_taken" },
    });
    expect(await ownersOf(open(), namespaceId, ["a", "b", "acme", "z"])).toEqual(
      new Map(["a", "b", "acme"].map((name) => [name, id])),
    );
  });

  it("gives a customer that an object reported a name, and ends its key like any other", async () => {
    const namespaceId = await newNamespace(open());
    const ids = [ulid(), ulid(), ulid()];
    for (const [n, id] of ids.entries()) await project(namespaceId, { id, key: `k${n}` });
    const [kept, renamed, deleted] = (await Promise.all(ids.map((id) => findCustomer(open(), namespaceId, id)))) as [
      CustomerRow,
      CustomerRow,
      CustomerRow,
    ];
    await update(kept, { key: "k0", subjectKeys: [] });
    await update(renamed, { key: "new", subjectKeys: ["s"] });
    await deleteCustomer(open(), deleted, NOW + 2_000);
    expect(await namesIn(kept)).toEqual([["k0", -1]]);
    expect((await claimsOn(open(), namespaceId, "k1")).former).toMatchObject([{ customerId: renamed.id }]);
    expect((await claimsOn(open(), namespaceId, "k2")).former).toMatchObject([
      { customerId: deleted.id, removedAt: NOW + 2_000 },
    ]);
    expect((await unlinkedNamesOf(open(), renamed)).sort()).toEqual(["k1", "new", "s"]);
    expect(await homesOfSubject(open(), namespaceId, "k1")).toMatchObject([{ object: `${namespaceId}/h` }]);
  });

  it("journals each name until the objects know of it, its end and its return", async () => {
    const namespaceId = await newNamespace(open());
    const row = await made({ namespaceId, key: "k" }, ["a", "b"]);
    const waiting = async () => (await unlinkedNames(open(), namespaceId, 10)).map(({ name }) => name).sort();
    const settle = async (name: string) => {
      const { owner, former } = await claimsOn(open(), namespaceId, name);
      await markLinked(open(), namespaceId, name, owner ? [owner, ...former] : former, NOW + 10);
    };
    expect(await waiting()).toEqual(["a", "b", "k"]);
    for (const name of ["a", "b", "k"]) await settle(name);
    expect(await waiting()).toEqual([]);
    const without = await update(row, { key: "k", subjectKeys: ["b"] });
    expect(await waiting()).toEqual(["a"]);
    // What was read before the end settles nothing of it.
    const stale = (await claimsOn(open(), namespaceId, "b")).owner!;
    const { value } = without as { value: CustomerRow };
    const back = await update(value, { key: "k", subjectKeys: ["a"] });
    await markLinked(open(), namespaceId, "b", [{ ...stale, linkedAt: null }], NOW + 11);
    expect(await waiting()).toEqual(["a", "b"].flatMap((name) => (name === "a" ? ["a", "a"] : ["b"])));
    expect((await claimsOn(open(), namespaceId, "a")).former).toHaveLength(1);
    for (const name of ["a", "b"]) await settle(name);
    expect(await waiting()).toEqual([]);
    // With another key, every name is news.
    const { value: again } = back as { value: CustomerRow };
    await update(again, { key: "l", subjectKeys: ["a"] });
    expect(await waiting()).toEqual(["a", "k", "l"]);
    expect(await homesOfSubject(open(), namespaceId, "b")).toMatchObject([{ object: row.home, customerId: row.id }]);
  });

  it("makes a customer together with the answer that is remembered, or neither", async () => {
    const namespaceId = await newNamespace(open());
    const answer = { key: "i", route: "r", bodyHash: "h", status: 201, response: "{}", createdAt: NOW };
    const tries = ["a", "b"].map((key) => {
      const row = customer({ namespaceId, key });
      return createCustomer(open(), row, [], ulid, rememberAnswer(open(), namespaceId, answer));
    });
    const results = await Promise.all(tries);
    expect(results.filter(({ ok }) => ok)).toHaveLength(1);
    expect(results.find(({ ok }) => !ok)).toMatchObject({ refusal: { reason: "violation", table: "idempotency" } });
    expect((await listCustomers(open(), namespaceId, ALL_CUSTOMERS)).totalCount).toBe(1);
  });

  it("lists by parts of what customers have, in pages, in an order that is always the same", async () => {
    const namespaceId = await newNamespace(open());
    const [one, two, three] = [
      await made({ namespaceId, id: ulid(NOW), key: "Alpha-1", name: "Zulu", primaryEmail: "Z@x.org" }, ["sub-A"]),
      await made({ namespaceId, id: ulid(NOW + 1), key: "beta_2", name: "alpha", createdAt: NOW + 7 }, ["sub-B", "%"]),
      await made({ namespaceId, id: ulid(NOW + 2), key: null, name: "Alpha", createdAt: NOW + 3 }, ["x"]),
    ];
    await project(namespaceId, { id: ulid(NOW + 3), key: "projected" });
    const gone = await made({ namespaceId, key: "gone", name: "alpha gone" }, ["sub-gone"]);
    await deleteCustomer(open(), gone, NOW + 5);
    const keys = async (of: Partial<typeof ALL_CUSTOMERS>) => {
      const { items, totalCount } = await listCustomers(open(), namespaceId, { ...ALL_CUSTOMERS, ...of });
      return [items.map(({ key, name }) => key ?? name), totalCount];
    };
    expect(await keys({})).toEqual([["Alpha-1", "beta_2", "Alpha", "projected"], 4]);
    expect(await keys({ orderBy: "name" })).toEqual([["Alpha", "Alpha-1", "beta_2", "projected"], 4]);
    expect(await keys({ orderBy: "createdAt", order: "DESC" })).toEqual([
      ["beta_2", "Alpha", "projected", "Alpha-1"],
      4,
    ]);
    expect(await keys({ limit: 2, offset: 1 })).toEqual([["beta_2", "Alpha"], 4]);
    expect(await keys({ limit: 2, offset: 4 })).toEqual([[], 4]);
    expect(await keys({ key: "ALPHA" })).toEqual([["Alpha-1"], 1]);
    expect(await keys({ name: "alph" })).toEqual([["beta_2", "Alpha"], 2]);
    expect(await keys({ name: "ject" })).toEqual([["projected"], 1]);
    expect(await keys({ name: "_" })).toEqual([[], 0]);
    expect(await keys({ primaryEmail: "z@X" })).toEqual([["Alpha-1"], 1]);
    expect(await keys({ subject: "SUB" })).toEqual([["Alpha-1", "beta_2"], 2]);
    expect(await keys({ subject: "%" })).toEqual([["beta_2"], 1]);
    expect(await keys({ subject: "beta_2" })).toEqual([[], 0]);
    expect(await keys({ includeDeleted: true, name: "gone" })).toEqual([["gone"], 1]);
    expect(one.id < two.id && two.id < three.id).toBe(true);
  });

  it("shows and gives nothing of one namespace to another", async () => {
    const [ours, theirs] = [await newNamespace(open()), await newNamespace(open())];
    const row = await made({ namespaceId: ours, key: "k" }, ["s"]);
    await startMerge(open(), ours, { source: "a", home: "b" }, NOW);
    await saveSubjects(open(), ours, [newSubject(ours, "sid", "t", NOW)], [], NOW);
    const seen = async (namespaceId: string) => ({
      customer: await findCustomer(open(), namespaceId, row.id, { deleted: true }),
      ids: await customerIdsAmong(open(), namespaceId, [row.id]),
      names: await namesOf(open(), { namespaceId, id: row.id }),
      subjects: await subjectsOf(open(), namespaceId, [row.id]),
      owners: await ownersOf(open(), namespaceId, ["k", "s"]),
      homes: await homesOfSubject(open(), namespaceId, "s"),
      claims: await claimsOn(open(), namespaceId, "s"),
      unlinked: await unlinkedNames(open(), namespaceId, 10),
      unlinkedOf: await unlinkedNamesOf(open(), { namespaceId, id: row.id }),
      merges: await openMerges(open(), namespaceId, 10),
      subject: await findSubject(open(), namespaceId, "sid"),
      among: await subjectsAmong(open(), namespaceId, ["s", "t"]),
      list: await listSubjects(open(), namespaceId, { afterId: null, limit: 10 }),
    });
    const before = await seen(ours);
    expect(await seen(theirs)).toEqual({
      customer: null,
      ids: [],
      names: [],
      subjects: new Map(),
      owners: new Map(),
      homes: [],
      claims: { owner: null, former: [] },
      unlinked: [],
      unlinkedOf: [],
      merges: [],
      subject: null,
      among: new Map(),
      list: [],
    });
    await update({ ...row, namespaceId: theirs }, { key: "x", subjectKeys: [] });
    await deleteCustomer(open(), { ...row, namespaceId: theirs }, NOW);
    await markLinked(open(), theirs, "s", [before.claims.owner!], NOW);
    await finishMerge(open(), theirs, "a", NOW);
    await deleteSubject(open(), theirs, "sid", NOW);
    await saveSubjects(open(), theirs, [], [{ id: "sid", change: { displayName: "x" } }], NOW);
    expect(await seen(ours)).toEqual(before);
    await made({ namespaceId: theirs, key: "k" }, ["s"]);
  });

  it("keeps one merge of a source, and lists it until it is done", async () => {
    const namespaceId = await newNamespace(open());
    const first = await startMerge(open(), namespaceId, { source: "a", home: "h" }, NOW);
    expect(first).toEqual({ id: "a", source: "a", home: "h" });
    expect(await startMerge(open(), namespaceId, { source: "a", home: "other" }, NOW + 1)).toEqual(first);
    await startMerge(open(), namespaceId, { source: "b", home: "h" }, NOW + 1);
    expect((await openMerges(open(), namespaceId, 10)).map(({ source }) => source)).toEqual(["a", "b"]);
    await finishMerge(open(), namespaceId, "a", NOW + 2);
    await finishMerge(open(), namespaceId, "a", NOW + 3);
    expect(await openMerges(open(), namespaceId, 10)).toEqual([{ id: "b", source: "b", home: "h" }]);
    // One that was refused may be tried again, one that is done may not.
    await abandonMerge(open(), namespaceId, "a");
    await abandonMerge(open(), namespaceId, "b");
    expect(await openMerges(open(), namespaceId, 10)).toEqual([]);
    await startMerge(open(), namespaceId, { source: "a", home: "h" }, NOW + 4);
    await startMerge(open(), namespaceId, { source: "b", home: "i" }, NOW + 4);
    expect(await openMerges(open(), namespaceId, 10)).toEqual([{ id: "b", source: "b", home: "i" }]);
  });

  it("knows the namespaces where something is left to be linked or merged, and no others", async () => {
    const [linking, merging, done] = [
      await newNamespace(open()),
      await newNamespace(open()),
      await newNamespace(open()),
    ] as const;
    await made({ namespaceId: linking, key: "k" });
    await startMerge(open(), merging, { source: "a", home: "h" }, NOW);
    await made({ namespaceId: done, key: "k" });
    await markLinked(open(), done, "k", [(await claimsOn(open(), done, "k")).owner!], NOW);
    await startMerge(open(), done, { source: "a", home: "h" }, NOW);
    await finishMerge(open(), done, "a", NOW);
    const found = await namespacesToLink(open(), 1_000);
    expect([linking, merging, done].map((id) => found.includes(id))).toEqual([true, true, false]);
  });

  it("provides the subjects of a customer, and leaves what is known of them alone", async () => {
    const namespaceId = await newNamespace(open());
    const known = newSubject(namespaceId, ulid(), "a", NOW, { displayName: "A", metadata: { n: 1.5, deep: [null] } });
    await saveSubjects(open(), namespaceId, [known], [], NOW);
    const row = await made({ namespaceId, key: "k" }, ["a", "b"]);
    const subjects = () => listSubjects(open(), namespaceId, { afterId: null, limit: 10 });
    const keys = async () => (await subjects()).map(({ key }) => key).sort();
    expect(await findSubject(open(), namespaceId, "a")).toEqual(known);
    expect(await keys()).toEqual(["a", "b"]);
    await update(row, { key: "k", subjectKeys: ["c", "b"] });
    expect(await keys()).toEqual(["a", "b", "c"]);
    // A key is no subject.
    expect(await findSubject(open(), namespaceId, "k")).toBe(null);
  });

  it("makes, changes and deletes subjects, all of a call or nothing", async () => {
    const namespaceId = await newNamespace(open());
    const [a, b] = [newSubject(namespaceId, ulid(NOW), "a", NOW), newSubject(namespaceId, ulid(NOW + 1), "b", NOW)];
    expect(await saveSubjects(open(), namespaceId, [a, b], [], NOW)).toMatchObject({ ok: true });
    const change = { displayName: "B", metadata: { x: "y" }, stripeCustomerId: "cus_1", currentPeriodStart: NOW };
    const twin = newSubject(namespaceId, ulid(NOW + 2), "a", NOW);
    expect(await saveSubjects(open(), namespaceId, [twin], [{ id: b.id, change }], NOW + 1)).toMatchObject({
      ok: false,
      refusal: { table: "subjects" },
    });
    expect(await findSubject(open(), namespaceId, "b")).toEqual(b);
    await saveSubjects(open(), namespaceId, [], [{ id: b.id, change }], NOW + 1);
    expect(await findSubject(open(), namespaceId, b.id)).toEqual({ ...b, ...change, updatedAt: NOW + 1 });
    await saveSubjects(open(), namespaceId, [], [{ id: b.id, change: { displayName: null } }], NOW + 2);
    expect(await findSubject(open(), namespaceId, "b")).toMatchObject({ displayName: null, metadata: { x: "y" } });
    await deleteSubject(open(), namespaceId, a.id, NOW + 3);
    await deleteSubject(open(), namespaceId, a.id, NOW + 4);
    expect(await findSubject(open(), namespaceId, "a")).toBe(null);
    expect(await findSubject(open(), namespaceId, a.id)).toMatchObject({ deletedAt: NOW + 3 });
    expect(await saveSubjects(open(), namespaceId, [twin], [], NOW)).toMatchObject({ ok: true });
    expect([...(await subjectsAmong(open(), namespaceId, ["a", "b", "z"])).keys()].sort()).toEqual(["a", "b"]);
    expect(await listSubjects(open(), namespaceId, { afterId: b.id, limit: 1 })).toEqual([twin]);
  });

  it("commits nothing for no claims", async () => {
    await commit(open(), []);
    await markLinked(open(), await newNamespace(open()), "a", [], NOW);
  });
}
