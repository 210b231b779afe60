import { describe, expect, it } from "vitest";
import { contract } from "../../schema/contract";
import type { Route } from "../../schema/contract/route";
import { SEED_TOKEN, startWorker } from "../harness";
import { routes } from "./routes";

interface Operation {
  operationId: string;
  security: object[];
  parameters: { name: string; in: string }[];
  requestBody?: { content: Record<string, unknown> };
  responses: Record<string, unknown>;
}
interface Document {
  openapi: string;
  paths: Record<string, Record<string, Operation>>;
  components: { schemas: Record<string, unknown>; securitySchemes: Record<string, unknown> };
}

const worker = startWorker();
const { body: document } = await worker.call<Document>("GET", "/openapi.json");
const all = Object.values(contract).flatMap((operations) => Object.values(operations as Record<string, Route>));

describe("openapi.json", () => {
  it("is OpenAPI 3.1 and needs no key", () => {
    expect(document.openapi).toMatch(/^3\.1\./);
  });

  it("has every route of the contract, with its access, parameters and replies", () => {
    for (const route of all) {
      const operation = document.paths[route.path]?.[route.method.toLowerCase()];
      expect(operation, `${route.method} ${route.path}`).toBeDefined();
      const expected = { public: [], operator: [{ operatorKey: [] }] }[route.access as string] ?? [
        { apiKey: [route.access] },
      ];
      expect(operation!.security).toEqual(expected);
      const inPath = operation!.parameters
        .filter((parameter) => parameter.in === "path")
        .map(({ name }) => `{${name}}`);
      expect(inPath).toEqual(route.path.match(/\{\w+\}/g) ?? []);
      for (const status of Object.keys(route.replies)) expect(operation!.responses).toHaveProperty(status);
      expect(operation!.requestBody !== undefined).toBe(route.body !== undefined);
    }
  });

  it("names the refusals that a program decides by, each as a problem", () => {
    const refusals = (path: string, method = "post") =>
      Object.keys(document.paths[path]![method]!.responses).filter((status) => status >= "4");
    expect(refusals("/api/v1/track")).toEqual(["400", "401", "402", "403", "404", "409", "422", "default"]);
    expect(refusals("/api/v1/check")).toEqual(["400", "401", "403", "404", "422", "default"]);
    expect(refusals("/api/v1/wallets/{customer}/grants")).toEqual([
      "400",
      "401",
      "403",
      "404",
      "409",
      "422",
      "default",
    ]);
    expect(refusals("/api/v1/namespaces")).toEqual(["400", "401", "409", "default"]);
    expect(refusals("/healthz", "get")).toEqual([]);
    for (const operation of Object.values(document.paths).flatMap((path) => Object.values(path))) {
      for (const [status, reply] of Object.entries(operation.responses)) {
        const { content } = reply as { content?: Record<string, { schema: unknown }> };
        if (status >= "4")
          expect(content, operation.operationId).toEqual({
            "application/problem+json": { schema: { $ref: "#/components/schemas/Problem" } },
          });
      }
    }
  });

  it("takes one event as cloudevents+json, an array as the batch type, and either as plain JSON", () => {
    const { content } = document.paths["/api/v1/events"]!.post!.requestBody!;
    const one = { $ref: "#/components/schemas/Event" };
    const many = expect.objectContaining({ type: "array", items: one, minItems: 1, maxItems: 10_000 });
    expect(content).toEqual({
      "application/json": { schema: { anyOf: [one, many] } },
      "application/cloudevents+json": { schema: one },
      "application/cloudevents-batch+json": { schema: many },
    });
  });

  it("offers an Idempotency-Key exactly where it has a meaning", () => {
    for (const route of all) {
      const { parameters } = document.paths[route.path]![route.method.toLowerCase()]!;
      const offered = parameters.some(({ name }) => name === "Idempotency-Key");
      const meant = route.method === "POST" && route.idempotency !== "nothing";
      expect(offered, `${route.method} ${route.path}`).toBe(meant);
    }
  });

  it("refers to nothing that it does not contain, and names no operation twice", () => {
    const text = JSON.stringify(document);
    for (const [, name] of text.matchAll(/"\$ref":"#\/components\/schemas\/([^"]+)"/g))
      expect(document.components.schemas).toHaveProperty([name!]);
    expect(text.match(/"\$ref":"(?!#\/components\/schemas\/)/g)).toBeNull();
    const ids = Object.values(document.paths).flatMap((path) =>
      Object.values(path).map(({ operationId }) => operationId),
    );
    expect(new Set(ids).size).toBe(ids.length);
    expect(ids).toHaveLength(all.length);
  });

  it("takes decimals as text or number, and answers them as text", () => {
    expect(document.components.schemas.DecimalInput).toMatchObject({
      anyOf: [{ type: "string" }, { type: "number" }, { type: "number" }],
    });
    expect(document.components.schemas.Decimal).toMatchObject({ type: "string" });
  });

  it("says nothing of the launcher's own route", () => {
    expect(routes.some(({ route }) => route.path.startsWith("/__local"))).toBe(true);
    expect(JSON.stringify(document)).not.toContain("__local");
  });
});

describe("/docs", () => {
  it("fits a phone, and is dark where the reader's system is", async () => {
    const { body } = await worker.call<string>("GET", "/docs");
    expect(body).toContain('<meta name="viewport" content="width=device-width, initial-scale=1">');
    expect(body).toContain('<meta name="color-scheme" content="light dark">');
    expect(body).toContain('matchMedia("(prefers-color-scheme: dark)")');
    const css = await worker.fetch(new Request("https://tollgate.test/docs/swagger-ui.css"));
    expect(await css.text(), "the class that the page sets").toContain("html.dark-mode");
  });

  it("is a page whose every file is served from here", async () => {
    const page = await worker.call<string>("GET", "/docs");
    expect(page.headers.get("content-type")).toBe("text/html; charset=utf-8");
    const files = [...page.body.matchAll(/(?:src|href)="([^"]+)"/g)]
      .map(([, file]) => file!)
      .filter((file) => !file.startsWith("data:"));
    expect(files.length).toBeGreaterThan(0);
    for (const file of files) {
      expect(file).toMatch(/^\/docs\//);
      const plain = await worker.fetch(new Request(`https://tollgate.test${file}`));
      expect(plain.status).toBe(200);
      expect((await plain.text()).length).toBeGreaterThan(10_000);
      const gzipped = await worker.fetch(
        new Request(`https://tollgate.test${file}`, { headers: { "accept-encoding": "gzip" } }),
      );
      expect(gzipped.headers.get("content-encoding")).toBe("gzip");
    }
    expect((await worker.call("GET", "/docs/passwd")).status).toBe(404);
    expect((await worker.call("GET", "/docs/constructor")).status).toBe(404);
  });
});

describe("/healthz", () => {
  const health = (other = worker) => other.call("GET", "/healthz");

  it("is 200 once the database answers, and under the launcher once its seed is there", async () => {
    expect((await health()).status).toBe(503);
    expect(await health(startWorker({ bindings: { TOLLGATE_LOCAL: "" } }))).toMatchObject({
      status: 200,
      body: { status: "ok" },
    });
    await worker.call("POST", "/__local/seed", { key: SEED_TOKEN, body: { apiKey: "tg_seeded-for-a-test" } });
    expect((await health()).status).toBe(200);
    expect(await worker.call("HEAD", "/healthz")).toMatchObject({ status: 200, body: undefined });
  });

  it("is 503 while the database does not answer", async () => {
    const DB = new Proxy({} as D1Database, {
      get: () => () => {
        throw new Error("no such table: namespaces");
      },
    });
    expect((await health(startWorker({ bindings: { DB } }))).status).toBe(503);
  });
});
