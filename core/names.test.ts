/** Who a customer is, by entries of every age. */
import { expect, it } from "vitest";
import { newAccount, replay } from "./account";
import { decodeAccount, encodeAccount } from "./checkpoint";
import { parseExact } from "./exact-json";
import { decodeEntry } from "./log-entry";

const sha256 = (text: string): string => String(text.length).padStart(64, "0");
const identity = {
  namespaceId: "ns",
  object: "ns/x",
  sandbox: false,
  customerId: "C",
  key: "user",
  epoch: "E",
  tag: "0000",
  createdAt: 0,
};
const event = { id: "1", source: "s", type: "chat", subject: "user", time: 1, data: null };
const grant = ["g", "10", "paid", 0, 0, null, "top up", 0, 0];

const declaredBy = (entry: object): boolean => {
  const account = newAccount();
  const text = JSON.stringify({ v: 1, seq: 1, at: 1, identity, ...entry });
  replay(account, decodeEntry(text, parseExact), sha256);
  return decodeAccount(encodeAccount(account)).declared;
};

it.each([
  ["events", { events: [event] }, false],
  ["a track", { events: [event], answer: { wallet: {} } }, true],
  ["a correction that is keyed", { op: ["o", "h"], answer: { wallet: {} } }, false],
  ["a grant", { grants: [grant], op: ["o", "h"], answer: { grant: {} } }, true],
  ["terms", { patch: { overdraftLimit: "1" } }, true],
  ["the API", { names: { adopted: "C", key: null } }, true],
  ["names alone", { names: { owned: [], key: "k" } }, false],
])("an entry of %s, as it was ever written, makes a customer or not", (_, entry, declared) => {
  expect(declaredBy(entry)).toBe(declared);
});

it("an account that was stored before customers were told apart is one: all were listed", () => {
  const { declared: _, ...older } = JSON.parse(encodeAccount(newAccount())) as Record<string, unknown>;
  expect(decodeAccount(JSON.stringify(older))).toMatchObject({ declared: true, adopted: null, merge: null });
});
