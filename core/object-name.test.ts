import fc from "fast-check";
import { createHash } from "node:crypto";
import { describe, expect, it } from "vitest";
import { objectName } from "./object-name";

const sha256 = (text: string): string => createHash("sha256").update(text).digest("hex");

describe("objectName", () => {
  it("is the namespace and the base64url of the name, for names of any script", () => {
    fc.assert(
      fc.property(fc.oneof(fc.string({ maxLength: 40 }), fc.string({ unit: "grapheme", maxLength: 12 })), (name) => {
        expect(objectName("ns", name, sha256)).toBe(`ns/${Buffer.from(name).toString("base64url")}`);
      }),
    );
  });

  it("hashes names past 200 bytes, which then look like no other name", () => {
    expect(objectName("ns", "x".repeat(200), sha256)).toBe(`ns/${Buffer.from("x".repeat(200)).toString("base64url")}`);
    for (const name of ["x".repeat(201), "é".repeat(101)])
      expect(objectName("ns", name, sha256)).toBe(`ns/~${sha256(name)}`);
  });

  it("gives different names to different customers and namespaces", () => {
    const names = ["a", "b", "A", "a/b", "ab/", "", "é", "e\u0301"];
    const all = ["n", "n/"].flatMap((namespaceId) => names.map((name) => objectName(namespaceId, name, sha256)));
    expect(new Set(all).size).toBe(all.length);
  });
});
