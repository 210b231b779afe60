/** `subjects`: upsert, get, list and delete. OpenMeter calls them deprecated; its client still has them. */
import { expect, it } from "vitest";
import { event, newTenant, NOBODY, refusal, ULID } from "./harness";

const { om, last } = await newTenant();

it("upserts one, answers 200 with a list, and gives it by key and by id", async () => {
  const upserted = (await om.subjects.upsert({
    key: "acme-1",
    displayName: "Acme",
    metadata: { seats: 7, tags: ["a"] },
  } as never))!;
  expect(last()).toMatchObject({ method: "POST", status: 200 });
  const [subject] = upserted;
  expect(upserted).toHaveLength(1);
  expect(subject).toMatchObject({ key: "acme-1", displayName: "Acme", metadata: { seats: 7, tags: ["a"] } });
  expect(subject!.id).toMatch(ULID);
  expect(subject!.createdAt).toBeInstanceOf(Date);
  expect(subject!.updatedAt).toBeInstanceOf(Date);
  expect(await om.subjects.get("acme-1")).toEqual(subject);
  expect(await om.subjects.get(subject!.id)).toEqual(subject);
});

it("upserts several, in their order, whatever their keys look like", async () => {
  const keys = ["z/1", "a b", "ünï"];
  const upserted = (await om.subjects.upsert(keys.map((key) => ({ key }))))!;
  expect(upserted.map(({ key }) => key)).toEqual(keys);
  for (const key of keys) expect(await om.subjects.get(key)).toMatchObject({ key });
});

it("changes what a repeated upsert gives, keeps what it leaves out, and null takes away", async () => {
  const [made] = (await om.subjects.upsert({ key: "partial", displayName: "One", metadata: { a: 1 } } as never))!;
  const [renamed] = (await om.subjects.upsert({ key: "partial", displayName: "Two" }))!;
  expect(renamed).toMatchObject({ id: made!.id, displayName: "Two", metadata: { a: 1 }, createdAt: made!.createdAt });
  const [bare] = (await om.subjects.upsert({ key: "partial", displayName: null }))!;
  expect(bare!.displayName ?? null).toBeNull();
  expect(bare).toMatchObject({ id: made!.id, metadata: { a: 1 } });
});

it("lists subjects as a bare array", async () => {
  await om.subjects.upsert([{ key: "listed-1" }, { key: "listed-2" }]);
  const subjects = (await om.subjects.list())!;
  expect(Array.isArray(subjects)).toBe(true);
  expect(subjects.map(({ key }) => key)).toEqual(expect.arrayContaining(["listed-1", "listed-2"]));
});

it("deletes a subject with 204, and it is gone; its events are not", async () => {
  const [subject] = (await om.subjects.upsert({ key: "gone" }))!;
  const kept = event("kept", "gone", new Date());
  await om.events.ingest(kept);
  await om.subjects.delete("gone");
  expect(last()).toMatchObject({ status: 204, body: "" });
  expect(await refusal(om.subjects.get("gone"))).toMatchObject({ status: 404, title: "Not Found" });
  expect((await om.subjects.list())!.map(({ id }) => id)).not.toContain(subject!.id);
  expect(await om.events.list({ subject: "gone" })).toMatchObject([{ event: { id: kept.id } }]);
  await om.subjects.upsert({ key: "gone" });
  expect(await om.subjects.get("gone")).toMatchObject({ key: "gone" });
});

it("deletes a subject by id", async () => {
  const [subject] = (await om.subjects.upsert({ key: "by-id" }))!;
  await om.subjects.delete(subject!.id);
  expect(await refusal(om.subjects.get("by-id"))).toMatchObject({ status: 404 });
});

it("a subject that is none is 404", async () => {
  for (const name of ["nobody", NOBODY]) {
    expect(await refusal(om.subjects.get(name))).toMatchObject({ status: 404 });
    expect(await refusal(om.subjects.delete(name))).toMatchObject({ status: 404 });
  }
});

it.each([
  ["an empty key", { key: "" }, "key"],
  ["no key", { displayName: "Nobody" }, "key"],
  ["a Stripe customer that is none", { key: "stripe", stripeCustomerId: "acct_1" }, "stripeCustomerId"],
  ["a display name that is a number", { key: "number", displayName: 7 }, "displayName"],
])("refuses %s", async (_, subject, detail) => {
  const error = await refusal(om.subjects.upsert(subject as never));
  expect(error).toMatchObject({ status: 400, message: expect.stringContaining(detail) });
});
