/** `portal` and the client of `@openmeter/sdk/portal`. OpenMeter answers list and invalidate with 501; we do what its document says. */
import { expect, it } from "vitest";
import { event, eventually, newTenant, refusal, ULID } from "./harness";

const { om, url, apiKey, portal, send, last } = await newTenant();

await om.meters.create({
  slug: "tokens",
  eventType: "prompt",
  aggregation: "SUM",
  valueProperty: "$.tokens",
  groupBy: { model: "$.model" },
});
await om.meters.create({ slug: "prompts", eventType: "prompt", aggregation: "COUNT" });
const prompt = (subject: string, time: string, tokens: number, model: string) =>
  event("prompt", subject, time, { tokens, model });
await om.events.ingest([
  prompt("ann", "2025-03-09T07:59:59Z", 1, "small"),
  prompt("ann", "2025-03-09T08:00:00Z", 2, "small"),
  prompt("ann", "2025-03-10T06:59:59Z", 4, "large"),
  prompt("bob", "2025-03-10T06:59:59Z", 8, "large"),
]);
const tokenOf = async (subject: string, more: object = {}) => (await om.portal.create({ subject, ...more }))!.token!;

it("makes a token for a subject, answers 200, and it lives an hour", async () => {
  const made = (await om.portal.create({ subject: "ann", allowedMeterSlugs: ["tokens", "prompts"] }))!;
  expect(last()).toMatchObject({ method: "POST", status: 200 });
  expect(made).toMatchObject({ subject: "ann", allowedMeterSlugs: ["tokens", "prompts"] });
  expect(made.id).toMatch(ULID);
  expect(made.token).toMatch(/^\S{20,}$/);
  expect(Math.abs(Number(made.expiresAt) - Date.now() - 3_600_000)).toBeLessThan(60_000);
});

it("the portal's client sees its subject's usage, at once and in windows of its zone", async () => {
  const client = portal(await tokenOf("ann"));
  expect(await client.query("tokens")).toMatchObject({ data: [{ value: 7, subject: "ann" }] });
  const days = await client.query("tokens", {
    from: new Date("2025-03-09T08:00:00Z"),
    to: "2025-04-01T00:00:00Z",
    windowSize: "DAY",
    windowTimeZone: "America/Los_Angeles",
  });
  expect(days).toMatchObject({
    from: new Date("2025-03-09T08:00:00Z"),
    to: new Date("2025-04-01T00:00:00Z"),
    windowSize: "DAY",
    data: [{ value: 6, windowStart: new Date("2025-03-09T08:00:00Z"), windowEnd: new Date("2025-03-10T07:00:00Z") }],
  });
  expect(days.data).toHaveLength(1);
  const models = await client.query("tokens", { groupBy: ["model"], filterGroupBy: { model: "small" } });
  expect(models.data).toMatchObject([{ value: 3, groupBy: { model: "small" } }]);
  await om.events.ingest(prompt("ann", "2025-05-01T00:00:00Z", 16, "new"));
  expect((await client.query("tokens", { filterGroupBy: { model: "new" } })).data).toMatchObject([{ value: 16 }]);
});

it("a token sees nobody else, whatever the address says", async () => {
  const token = await tokenOf("bob");
  const other = "01JZZZZZZZZZZZZZZZZZZZZZZZ";
  for (const query of ["subject=ann", `filterCustomerId=${other}`]) {
    const answer = await send(`/api/v1/portal/meters/tokens/query?${query}`, {
      headers: { authorization: `Bearer ${token}` },
    });
    expect(await answer.json()).toMatchObject({ data: [{ value: 8, subject: "bob" }] });
  }
});

it("a token sees its one subject, also when that is one of several of a customer", async () => {
  const subjectKeys = ["several-1", "several-2"];
  await om.customers.create({ name: "Several", key: "several", usageAttribution: { subjectKeys } });
  const at = "2025-01-01T00:00:00Z";
  await om.events.ingest([prompt("several-1", at, 1, "small"), prompt("several-2", at, 2, "small")]);
  const token = await tokenOf("several-2");
  expect((await portal(token).query("tokens")).data).toMatchObject([{ value: 2, subject: "several-2" }]);
  expect((await portal(await tokenOf("nobody")).query("tokens")).data).toEqual([]);
});

it("a token opens the meters it names and no others, and nothing but the portal", async () => {
  const token = await tokenOf("ann", { allowedMeterSlugs: ["prompts"] });
  expect((await portal(token).query("prompts")).data).toMatchObject([{ subject: "ann" }]);
  expect(await refusal(portal(token).query("tokens"))).toMatchObject({ status: 401, title: "Unauthorized" });
  const authorization = `Bearer ${token}`;
  for (const path of ["/api/v1/meters", "/api/v1/events", "/api/v1/portal/tokens"])
    expect((await send(path, { headers: { authorization } })).status, path).toBe(401);
  expect(await refusal(portal(await tokenOf("ann")).query("nobody"))).toMatchObject({ status: 404 });
});

it("no token, a wrong one and a changed one are 401", async () => {
  const token = await tokenOf("ann");
  const changed = token.slice(0, -2) + (token.endsWith("AA") ? "BB" : "AA");
  for (const wrong of ["", "nonsense", changed])
    expect(await refusal(portal(wrong).query("tokens")), wrong).toMatchObject({ status: 401 });
});

it("a token ends when it says", async () => {
  const token = await tokenOf("ann", { expiresAt: new Date(Date.now() + 3_000) });
  expect((await portal(token).query("prompts")).data).toHaveLength(1);
  await eventually(async () => {
    expect(await refusal(portal(token).query("prompts"))).toMatchObject({ status: 401 });
  });
});

it.each([
  ["no subject", {}, 400],
  ["an empty list of meters", { subject: "ann", allowedMeterSlugs: [] }, 400],
  ["a meter that is none", { subject: "ann", allowedMeterSlugs: ["tokens", "nobody"] }, 404],
])("refuses a token with %s", async (_, body, status) => {
  expect(await refusal(om.portal.create(body as never))).toMatchObject({ status });
});

it("answers a file when asked for one", async () => {
  const answer = await send("/api/v1/portal/meters/tokens/query?groupBy=model&to=2025-03-09T08:00:00Z", {
    headers: { authorization: `Bearer ${await tokenOf("ann")}`, accept: "text/csv" },
  });
  expect(answer.headers.get("content-type")).toMatch(/^text\/csv/);
  const [header, line] = (await answer.text()).trimEnd().split(/\r?\n/);
  expect(header).toMatch(/^window_start,window_end,subject,.*model,value$/);
  expect(line).toMatch(/,ann,.*small,1\.000000$/);
});

it("is open to browsers of any origin, as OpenMeter's portal is", async () => {
  const at = `${url}/api/v1/portal/meters/tokens/query`;
  const preflight = await fetch(at, {
    method: "OPTIONS",
    headers: {
      origin: "https://app.example.com",
      "access-control-request-method": "GET",
      "access-control-request-headers": "authorization",
    },
  });
  expect(preflight.ok).toBe(true);
  expect(preflight.headers.get("access-control-allow-origin")).toMatch(/^(\*|https:\/\/app\.example\.com)$/);
  expect(preflight.headers.get("access-control-allow-headers")).toMatch(/authorization/i);
  const headers = { origin: "https://app.example.com", authorization: `Bearer ${await tokenOf("ann")}` };
  const answer = await fetch(at, { headers });
  expect(answer.headers.get("access-control-allow-origin")).toMatch(/^(\*|https:\/\/app\.example\.com)$/);
});

it("lists tokens without showing them, and invalidates one by id and all of a subject", async () => {
  const create = async (subject: string) => (await om.portal.create({ subject }))!;
  const [one, two, three] = [await create("listed"), await create("listed"), await create("listed 2")];
  const listed = (await om.portal.list({ limit: 100 }))!;
  expect(Array.isArray(listed)).toBe(true);
  for (const { id, subject } of [one, two, three]) {
    const found = listed.find((each) => each.id === id);
    expect(found).toMatchObject({
      id,
      subject,
      expired: false,
      expiresAt: expect.any(Date),
      createdAt: expect.any(Date),
    });
    expect(found).not.toHaveProperty("token");
  }
  expect(await om.portal.list({ limit: 2 })).toHaveLength(2);

  const works = async ({ token }: { token?: string }) =>
    portal(token!)
      .query("tokens")
      .then(
        () => true,
        (error: { status: number }) => (error.status === 401 ? false : Promise.reject(error)),
      );
  expect(await Promise.all([one, two, three].map(works))).toEqual([true, true, true]);
  await om.portal.invalidate({ id: one.id! });
  expect(last()).toMatchObject({ status: 204, body: "" });
  expect(await Promise.all([one, two, three].map(works))).toEqual([false, true, true]);
  await om.portal.invalidate({ subject: "listed" });
  expect(await Promise.all([one, two, three].map(works))).toEqual([false, false, true]);
});

it("making, listing and invalidating tokens takes a key", async () => {
  expect(apiKey).not.toBe("");
  for (const [method, path, body] of [
    ["POST", "/api/v1/portal/tokens", { subject: "ann" }],
    ["GET", "/api/v1/portal/tokens", undefined],
    ["POST", "/api/v1/portal/tokens/invalidate", { subject: "ann" }],
  ] as const) {
    const headers = { authorization: "Bearer nobody", "content-type": "application/json" };
    const answer = await send(path, { method, headers, ...(body && { body: JSON.stringify(body) }) });
    expect(answer.status).toBe(401);
  }
});
