import { describe, expect, it } from "vitest";
import {
  decodeArchiveMessage,
  encodeArchiveMessage,
  MESSAGE_BYTES_MAX,
  messageBytes,
  ratingMessage,
  SEND_BATCH_BYTES_MAX,
  spillMessage,
  type ArchiveHeader,
  type RatingMessage,
} from "./messages";

const rating: RatingMessage = {
  v: 1,
  namespaceId: "01JNS",
  object: "01JNS/YWNtZQ",
  epoch: "01JEPOCH",
  seq: 7,
  sentAt: 1_000,
  customer: { id: "01JC", key: "acme", name: null, home: "01JNS/YWNtZQ", createdAt: 900 },
  wallet: { balance: "-0.000000000001", held: "0", currency: "CREDITS", status: "EXHAUSTED", unrated: 0 },
  rollups: [
    {
      meter: "tokens",
      resolution: "minute",
      windowStart: 0,
      group: '["gpt-4"]',
      count: 2,
      sum: "9007199254740993",
      min: "1",
      max: "2.5",
      latest: null,
      latestAt: null,
    },
  ],
  eventCount: 2,
};

describe("queue messages", () => {
  it("cross a queue unchanged, decimals to the last digit", () => {
    expect(ratingMessage.parse(JSON.parse(JSON.stringify(rating)))).toEqual(rating);
    const { wallet: _, ...withoutWallet } = rating;
    expect(ratingMessage.parse(withoutWallet)).toEqual(withoutWallet);
  });

  it("carry what meters add up to 24 places and 36 digits before the point", () => {
    const places = "0.123456789012345678901234";
    const total = `-${"9".repeat(36)}.${"9".repeat(24)}`;
    const exact = {
      ...rating,
      rollups: [{ ...rating.rollups[0], sum: total, min: total, max: places, latest: places }],
    };
    expect(ratingMessage.parse(JSON.parse(JSON.stringify(exact)))).toEqual(exact);
  });

  it("keep the events of a spill as text, so that their numbers stay exact", () => {
    const spill = {
      v: 1,
      namespaceId: "01JNS",
      name: "acme",
      configVersion: 3,
      eventsJson: '[{"data":{"n":9007199254740993}}]',
      receivedAt: 5,
    };
    expect(spillMessage.parse(JSON.parse(JSON.stringify(spill)))).toEqual(spill);
  });

  it.each([
    ["another version", { v: 2 }],
    ["a number where a decimal belongs", { rollups: [{ ...rating.rollups[0], sum: 1.5 }] }],
    ["an exponent", { rollups: [{ ...rating.rollups[0], sum: "1e3" }] }],
    ["25 places of a quantity", { rollups: [{ ...rating.rollups[0], max: "0.1234567890123456789012345" }] }],
    ["a total of 37 digits", { rollups: [{ ...rating.rollups[0], sum: "9".repeat(37) }] }],
    ["13 places of money", { wallet: { ...rating.wallet, balance: "0.0000000000001" } }],
    ["a negative sequence", { seq: -1 }],
    ["an unknown status", { wallet: { ...rating.wallet, status: "LOST" } }],
    ["NUL in a name", { customer: { ...rating.customer, key: "a\0" } }],
    ["half a character in a group", { rollups: [{ ...rating.rollups[0], group: "\udc00" }] }],
    ["no namespace", { namespaceId: undefined }],
  ])("refuse %s", (_, wrong) => {
    expect(ratingMessage.safeParse({ ...rating, ...wrong }).success).toBe(false);
  });

  it("measure themselves in bytes, below the platform's bounds", () => {
    expect(messageBytes({ text: "€" })).toBe(JSON.stringify({ text: "€" }).length + 2);
    expect(MESSAGE_BYTES_MAX).toBeLessThan(128_000 - 100);
    expect(SEND_BATCH_BYTES_MAX).toBeLessThan(256_000);
  });

  it("carry a page of the log as bytes behind a header, whatever bytes they are", () => {
    const header: ArchiveHeader = {
      v: 1,
      namespaceId: "01JNS",
      object: "01JNS/YWNtZQ",
      epoch: "01JEPOCH",
      customer: { id: "01JC", key: "two\nlines", createdAt: 900, declared: true },
      from: 1,
      to: 7,
      directory: "[[1,7,0,9,256]]",
    };
    const body = Uint8Array.from({ length: 256 }, (_, i) => i);
    const bytes = encodeArchiveMessage({ header, body });
    // A queue delivers what was sent as its own buffer.
    expect(decodeArchiveMessage(bytes.slice().buffer)).toEqual({ header, body });
    expect(bytes.length).toBe(messageBytes(header) + 1 + body.length);
    for (const wrong of [null, {}, "text", new ArrayBuffer(3), new TextEncoder().encode('{"v":2}\n')])
      expect(() => decodeArchiveMessage(wrong)).toThrow();
  });
});
