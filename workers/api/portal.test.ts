/** Portal tokens over HTTP: what they open, what they do not, and when they stop. */
import { createHmac, hkdfSync } from "node:crypto";
import { decodeJwt, SignJWT } from "jose";
import { beforeAll, describe, expect, it } from "vitest";
import { newTenant, someEvent, startWorker, type CallOptions, type Tenant } from "../harness";

const HOUR_MS = 3_600_000;
const worker = startWorker();
let tenant: Tenant;

interface Token {
  id: string;
  token: string;
  expiresAt: string;
  expired: boolean;
}
const call = <T = Record<string, unknown>>(method: string, path: string, options: CallOptions = {}, on = worker) =>
  on.call<T>(method, `/api/v1${path}`, { key: tenant.apiKey, ...options });
const create = async (body: Record<string, unknown> = {}, on = worker): Promise<Token> => {
  const made = await call<Token>("POST", "/portal/tokens", { body: { subject: "customer-1", ...body } }, on);
  expect(made.status).toBe(200);
  return made.body;
};
const ask = (token: string | null, path = "calls/query", on = worker) =>
  call<{ data: { value: number; subject: string }[]; detail?: string }>(
    "GET",
    `/portal/meters/${path}`,
    { key: token },
    on,
  );

beforeAll(async () => {
  tenant = await newTenant(worker);
  for (const slug of ["calls", "others"])
    await call("POST", "/meters", {
      body: { slug, aggregation: "COUNT", eventType: "request", groupBy: { method: "$.method" } },
    });
  const events = [someEvent(), someEvent(), someEvent({ subject: "customer-2" })];
  expect((await call("POST", "/events", { body: events })).status).toBe(204);
});

describe("a portal token", () => {
  it("is shown once, with what it may do", async () => {
    const before = worker.now();
    const made = await create({ allowedMeterSlugs: ["calls"] });
    expect(made).toMatchObject({ subject: "customer-1", expired: false, allowedMeterSlugs: ["calls"] });
    expect(Date.parse(made.expiresAt) - before).toBeGreaterThanOrEqual(HOUR_MS);
    expect(Date.parse(made.expiresAt) - before).toBeLessThan(HOUR_MS + 10_000);
    const listed = await call<Record<string, unknown>[]>("GET", "/portal/tokens?limit=1");
    const { token, ...shown } = made;
    expect(listed).toMatchObject({ status: 200, body: [shown] });
    expect(JSON.stringify(listed.body)).not.toContain(token);
    expect(
      await call("POST", "/portal/tokens", { body: { subject: "x" }, headers: { "idempotency-key": "p" } }),
    ).toMatchObject(
      await call("POST", "/portal/tokens", { body: { subject: "x" }, headers: { "idempotency-key": "p" } }),
    );
  });

  it.each([
    ["without a subject", { subject: undefined }, 400],
    ["for no meter at all", { allowedMeterSlugs: [] }, 400],
    ["for a meter without a name", { allowedMeterSlugs: [""] }, 400],
    ["for a meter that is not there", { allowedMeterSlugs: ["calls", "none"] }, 404],
    ["that has expired already", { expiresAt: "2020-01-01T00:00:00Z" }, 400],
  ])("is not made %s", async (_, body, status) => {
    expect((await call("POST", "/portal/tokens", { body: { subject: "customer-1", ...body } })).status).toBe(status);
  });

  it("opens its subject's usage, whatever else is asked for", async () => {
    const { token } = await create();
    const row = { value: 2, subject: "customer-1" };
    expect(await ask(token)).toMatchObject({ status: 200, body: { data: [row] } });
    expect((await ask(token, "calls/query?subject=customer-2&filterCustomerId=nobody")).body.data).toMatchObject([row]);
    expect((await ask(token, "calls/query?groupBy=method&filterGroupBy[method]=POST")).body.data).toEqual([]);
    expect((await ask(token, "none/query")).status).toBe(404);
    expect((await ask(token, "calls/query?groupBy=nothing")).status).toBe(400);
  });

  it("answers a file to who accepts one", async () => {
    const { token } = await create();
    const response = await worker.fetch(
      new Request("https://tollgate.test/api/v1/portal/meters/calls/query", {
        headers: { authorization: `Bearer ${token}`, accept: "text/csv" },
      }),
    );
    expect([response.status, response.headers.get("content-type")]).toEqual([200, expect.stringContaining("text/csv")]);
    expect(await response.text()).toContain("customer-1,2");
  });

  it("opens the meters that it names, and those only", async () => {
    const { token } = await create({ allowedMeterSlugs: ["calls"] });
    expect([(await ask(token)).status, (await ask(token, "others/query")).status]).toEqual([200, 401]);
  });

  it("opens nothing else", async () => {
    const { token } = await create();
    for (const path of ["/meters", "/portal/tokens", "/meters/calls/query", "/events"])
      expect([path, (await call("GET", path, { key: token })).status]).toEqual([path, 401]);
    expect((await ask(tenant.apiKey)).status).toBe(401);
  });

  it("ends at its time", async () => {
    const mine = startWorker();
    const { token, id } = await create({ expiresAt: new Date(mine.now() + 60_000).toISOString() }, mine);
    expect((await ask(token, undefined, mine)).status).toBe(200);
    mine.advance(59_000);
    expect((await ask(token, undefined, mine)).status).toBe(200);
    mine.advance(1_000);
    expect(await ask(token, undefined, mine)).toMatchObject({
      status: 401,
      body: { detail: "this portal token has expired" },
    });
    const { body } = await call<Token[]>("GET", "/portal/tokens", {}, mine);
    expect(body.find((each) => each.id === id)).toMatchObject({ expired: true });
  });

  it("is revoked by its id or by its subject, here at once and elsewhere within 30 s", async () => {
    const [here, elsewhere] = [startWorker(), startWorker()];
    const tokens = [await create({}, here), await create({}, here), await create({ subject: "customer-2" }, here)];
    const states = async (on: typeof worker) => {
      const seen: number[] = [];
      for (const { token } of tokens) seen.push((await ask(token, undefined, on)).status);
      return seen;
    };
    expect([await states(here), await states(elsewhere)]).toEqual([
      [200, 200, 200],
      [200, 200, 200],
    ]);
    const invalidate = (body: object) => call("POST", "/portal/tokens/invalidate", { body }, here);
    expect((await invalidate({ id: tokens[0]!.id })).status).toBe(204);
    expect(await states(here)).toEqual([401, 200, 200]);
    expect((await invalidate({ subject: "customer-2" })).status).toBe(204);
    expect(await states(here)).toEqual([401, 200, 401]);
    elsewhere.advance(30_000);
    expect(await states(elsewhere)).toEqual([401, 200, 401]);
    expect((await invalidate({})).status).toBe(400);
    expect((await invalidate({ id: "unknown" })).status).toBe(204);
    const { body } = await call<Token[]>("GET", "/portal/tokens", {}, here);
    expect(body.map(({ id }) => id)).not.toContain(tokens[0]!.id);
  });

  it("stops with its namespace", async () => {
    const closing = await newTenant(worker, "sandbox");
    const { body } = await worker.call<Token>("POST", "/api/v1/portal/tokens", {
      key: closing.apiKey,
      body: { subject: "s" },
    });
    expect((await ask(body.token)).status).toBe(404);
    await worker.call("DELETE", `/api/v1/namespaces/${closing.id}`, { key: "tg_admin_test" });
    expect(await ask(body.token)).toMatchObject({ status: 401, body: { detail: expect.stringContaining("closed") } });
  });
});

describe("a forged portal token", () => {
  const encode = (value: unknown) => Buffer.from(JSON.stringify(value)).toString("base64url");
  const parts = (token: string) => token.split(".") as [string, string, string];

  it("is refused, whatever was changed", async () => {
    const mine = await create();
    const [header, payload, signature] = parts(mine.token);
    const claims = decodeJwt(mine.token);
    const other = await newTenant(worker);
    const theirs = (
      await worker.call<Token>("POST", "/api/v1/portal/tokens", { key: other.apiKey, body: { subject: "customer-1" } })
    ).body;
    const hmac = (secret: string | Uint8Array, text: string) =>
      createHmac("sha256", secret).update(text).digest("base64url");
    const none = encode({ alg: "none", typ: "JWT" });
    const forgeries: Record<string, string> = {
      "another subject": `${header}.${encode({ ...claims, sub: "customer-2" })}.${signature}`,
      "another id": `${header}.${encode({ ...claims, jti: theirs.id })}.${signature}`,
      "another's namespace in mine": `${header}.${encode({ ...claims, namespace: other.id })}.${signature}`,
      "my namespace in another's": `${header}.${encode({ ...decodeJwt(theirs.token), namespace: tenant.id })}.${parts(theirs.token)[2]}`,
      "alg none": `${none}.${payload}.`,
      "alg none, signed": `${none}.${payload}.${signature}`,
      "another algorithm": `${encode({ alg: "HS512", typ: "JWT" })}.${payload}.${signature}`,
      "no signature": `${header}.${payload}.`,
      "two parts": `${header}.${payload}`,
      "the secret itself as key": `${header}.${payload}.${hmac("a-secret-of-the-tests-and-of-nobody-else", `${header}.${payload}`)}`,
      "no key": `${header}.${payload}.${hmac("", `${header}.${payload}`)}`,
      "no namespace": `${header}.${encode({ ...claims, namespace: undefined })}.${signature}`,
      "a namespace that is none": `${header}.${encode({ ...claims, namespace: "../x" })}.${signature}`,
      nonsense: "om_portal_nonsense",
      "a long one": `${header}.${"x".repeat(100_000)}.${signature}`,
      empty: "",
    };
    for (const [what, token] of Object.entries(forgeries)) {
      const { status, headers } = await ask(token);
      expect([what, status, headers.get("www-authenticate")]).toEqual([what, 401, "Bearer"]);
    }
    expect((await ask(null)).status).toBe(401);
    expect((await ask(mine.token)).status).toBe(200);
    expect((await ask(theirs.token)).status, "the other's meter").toBe(404);
    expect(worker.reports).toEqual([]);
  });
});

describe("a namespace's key", () => {
  it("signs for that namespace alone, by one algorithm", async () => {
    const mine = await create();
    const other = await newTenant(worker);
    const signed = (namespaceId: string, alg: string) =>
      new SignJWT(decodeJwt(mine.token))
        .setProtectedHeader({ alg })
        .sign(
          new Uint8Array(
            hkdfSync(
              "sha256",
              "a-secret-of-the-tests-and-of-nobody-else",
              "",
              `tollgate portal token ${namespaceId}`,
              32,
            ),
          ),
        );
    expect((await ask(await signed(tenant.id, "HS256"))).status, "the key is this one").toBe(200);
    expect((await ask(await signed(other.id, "HS256"))).status).toBe(401);
    expect((await ask(await signed(tenant.id, "HS512"))).status).toBe(401);
  });
});

describe("the portal's query", () => {
  it("is open to browsers of any origin, also where it refuses", async () => {
    const url = "https://tollgate.test/api/v1/portal/meters/calls/query";
    const preflight = await worker.fetch(
      new Request(url, {
        method: "OPTIONS",
        headers: { origin: "https://app.example", "access-control-request-method": "GET" },
      }),
    );
    expect(preflight.status).toBe(204);
    expect(preflight.headers.get("access-control-allow-origin")).toBe("*");
    expect(preflight.headers.get("access-control-allow-headers")).toContain("authorization");
    expect(preflight.headers.get("access-control-allow-credentials")).toBe(null);
    for (const [token, status] of [
      [(await create()).token, 200],
      ["nonsense", 401],
    ] as const) {
      const { headers, ...answer } = await ask(token);
      expect([answer.status, headers.get("access-control-allow-origin")]).toEqual([status, "*"]);
    }
  });

  it("costs no database read for a token that was seen in the last 30 s, but what the query itself reads", async () => {
    const mine = startWorker();
    const { token } = await create({}, mine);
    await ask(token, undefined, mine);
    const first = mine.queries();
    await ask(token, undefined, mine);
    const warm = mine.queries() - first;
    mine.advance(31_000);
    await ask(token, undefined, mine);
    expect(mine.queries() - first - warm).toBe(warm + 1);
  });
});

describe("without a secret", () => {
  it.each([
    ["none", "", "has no secret"],
    ["a short one", "hunter2", "has too short a secret"],
  ])("%s, a deployment says what to type", async (_, PORTAL_SECRET, said) => {
    const { token } = await create();
    const bare = startWorker({ bindings: { PORTAL_SECRET } });
    for (const answer of [
      await call<{ detail?: string }>("POST", "/portal/tokens", { body: { subject: "s" } }, bare),
      await ask(token, undefined, bare),
    ]) {
      expect([answer.status, answer.body.detail]).toEqual([
        503,
        expect.stringContaining("wrangler secret put PORTAL_SECRET"),
      ]);
      expect(answer.body.detail).toContain(said);
    }
    expect((await call("GET", "/portal/tokens", {}, bare)).status).toBe(200);
  });
});
