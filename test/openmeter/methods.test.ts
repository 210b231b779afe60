/** No method of the client is forgotten: what the client has, the files beside this one call. */
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { OpenMeter } from "@openmeter/sdk";
import { OpenMeter as Portal } from "@openmeter/sdk/portal";
import { expect, it } from "vitest";

const om = new OpenMeter({ baseUrl: "http://localhost", apiKey: "none" });
const RESOURCES = ["events", "meters", "subjects", "customers", "features", "portal", "info", "debug"] as const;
/** They are about entitlements and subscriptions. */
const NOT_YET = new Set(["customers.getAccess", "customers.listSubscriptions"]);

const methodsOf = (instance: object): string[] =>
  Object.getOwnPropertyNames(Object.getPrototypeOf(instance)).filter((name) => name !== "constructor");

it("calls every method of every resource of the client, and of the portal's", async () => {
  const files = (await readdir(import.meta.dirname)).filter((name) => name.endsWith(".test.ts"));
  const text = (await Promise.all(files.map((name) => readFile(join(import.meta.dirname, name), "utf8")))).join("\n");
  const methods = RESOURCES.flatMap((resource) => methodsOf(om[resource]).map((method) => `${resource}.${method}`));
  expect(methods.length).toBeGreaterThan(25);
  const forgotten = methods.filter((method) => !NOT_YET.has(method) && !text.includes(`.${method}(`));
  expect(forgotten).toEqual([]);
  expect(methodsOf(new Portal({ baseUrl: "http://localhost", portalToken: "none" }))).toEqual(["query"]);
  expect(text).toMatch(/portal\(.*\)\.query\(/);
});
