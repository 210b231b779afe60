import { describe, expect, it } from "vitest";
import { findNamespace } from "../../store/namespaces";
import { ADMIN_KEY, newTenant, SEED_TOKEN, startWorker } from "../harness";

const SEED = "/__local/seed";
/** Not the launcher's key: that one is spelled out in scripts/ alone. */
const apiKey = "tg_seeded-for-a-test";

describe("the launcher's seed", () => {
  it("makes the namespace `default` with the launcher's key and OpenMeter's quickstart meters", async () => {
    const worker = startWorker();
    expect((await worker.call("POST", SEED, { key: SEED_TOKEN, body: { apiKey } })).status).toBe(204);
    expect(await worker.call("GET", "/api/v1/status", { key: apiKey })).toMatchObject({
      status: 200,
      body: { configVersion: 1 },
    });
    const { env, store } = worker.context();
    const namespace = await findNamespace(store, "default");
    expect(namespace).toMatchObject({ kind: "live" });
    const meters = await env.DB.prepare("select * from meters where namespace_id = ? order by key")
      .bind(namespace!.id)
      .all();
    expect(
      meters.results.map(({ key, event_type, aggregation, value_property, group_by }) => [
        key,
        event_type,
        aggregation,
        value_property,
        JSON.parse(group_by as string),
      ]),
    ).toEqual([
      ["api_requests_duration", "request", "SUM", "$.duration_ms", { method: "$.method", route: "$.route" }],
      ["api_requests_total", "request", "COUNT", null, { method: "$.method", route: "$.route" }],
      ["tokens_total", "prompt", "SUM", "$.tokens", { model: "$.model", type: "$.type" }],
    ]);
  });

  it("changes nothing at the next start", async () => {
    const worker = startWorker();
    await worker.call("POST", SEED, { key: SEED_TOKEN, body: { apiKey } });
    await worker.call("POST", "/api/v1/wallets/u/grants", { key: apiKey, body: { amount: 5, kind: "paid" } });
    const counts = () =>
      Promise.all(
        ["namespaces", "api_keys", "meters", "config_versions"].map((table) =>
          worker.context().env.DB.prepare(`select count(*) as n from ${table}`).first("n"),
        ),
      );
    const before = await counts();
    const restarted = startWorker();
    expect((await restarted.call("POST", SEED, { key: SEED_TOKEN, body: { apiKey } })).status).toBe(204);
    expect(await counts()).toEqual(before);
    expect((await restarted.call("GET", "/api/v1/wallets/u", { key: apiKey })).body).toMatchObject({ balance: "5" });
  });

  it("does not exist in a deployed Worker", async () => {
    const deployed = startWorker({ bindings: { TOLLGATE_LOCAL: "" } });
    await newTenant(deployed);
    const answer = await deployed.call("POST", SEED, { key: SEED_TOKEN, body: { apiKey: "tg_intruder" } });
    expect(answer).toMatchObject({ status: 404, body: { title: "Not Found" } });
    expect((await deployed.call("GET", "/api/v1/status", { key: "tg_intruder" })).status).toBe(401);
  });

  it("does not exist for whoever does not know the token of this start, nor for anybody where none is set", async () => {
    const local = startWorker();
    const { apiKey: tenantKey } = await newTenant(local);
    const seed = (worker: typeof local, key: string | null) =>
      worker.call("POST", SEED, { key, body: { apiKey: "tg_intruder" } });
    const nowhere = (await local.call("POST", "/__local/nothing", { body: {} })).body;
    for (const key of [null, "", "wrong", `${SEED_TOKEN}x`, SEED_TOKEN.slice(1), ADMIN_KEY, tenantKey]) {
      const { status, body } = await seed(local, key);
      expect([status, body.type, body.title], `with ${key}`).toEqual([404, nowhere.type, nowhere.title]);
    }
    const unset = startWorker({ bindings: { TOLLGATE_SEED_TOKEN: "" } });
    for (const key of [null, "", SEED_TOKEN, "undefined"]) expect((await seed(unset, key)).status).toBe(404);
    expect((await local.call("GET", "/api/v1/status", { key: "tg_intruder" })).status).toBe(401);
  });
});
