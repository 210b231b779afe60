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
