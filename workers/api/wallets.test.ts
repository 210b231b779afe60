import { describe, expect, it } from "vitest";
import { findWallet } from "../../store/wallets";
import { newTenant, someEvent, startWorker } from "../harness";

interface Page {
  items: Record<string, unknown>[];
  nextCursor?: string;
}
interface Wallet {
  customerId: string;
  balance: string;
  unrated: number;
}

const table = { key: "standard", currency: "CREDITS", rules: [{ dimension: "tokens", rate: "0.1", per: 1 }] };

async function live({ priced = true } = {}) {
  const worker = startWorker();
  const tenant = await newTenant(worker);
  const key = tenant.apiKey;
  const post = <T = Record<string, unknown>>(path: string, body: unknown) =>
    worker.call<T>("POST", `/api/v1${path}`, { key, body });
  const get = async <T = Record<string, unknown>>(path: string) =>
    (await worker.call<T>("GET", `/api/v1${path}`, { key })).body;
  const track = (tokens: unknown, over: Record<string, unknown> = {}) =>
    post<{ wallet: Wallet; cost: { amount: string } | null }>("/track", {
      customer: "u",
      feature: "f",
      usage: { tokens },
      ...over,
    });
  if (priced) expect((await post("/burn-tables", table)).status).toBe(201);
  return { worker, tenant, key, post, get, track };
}

describe("a wallet", () => {
  it("is empty for a name that nobody used, and stays unknown", async () => {
    const { get } = await live();
    const expected = {
      customerId: null,
      userId: "stranger",
      balance: "0",
      held: "0",
      available: "0",
      overdraftLimit: "0",
      currency: "CREDITS",
      status: "EXHAUSTED",
      unrated: 0,
      burnTable: null,
      lastTransaction: null,
    };
    expect(await get("/wallets/stranger")).toEqual(expected);
    expect(await get("/wallets/stranger")).toEqual(expected);
  });

  it("is the same by key and by id, for reads and for writes", async () => {
    const { get, post, track } = await live();
    const { customerId } = (await track(5)).body.wallet;
    expect(await get(`/wallets/${customerId}`)).toEqual(await get("/wallets/u"));
    expect((await post(`/wallets/${customerId}/grants`, { amount: 3, kind: "promo" })).status).toBe(201);
    expect((await track(10, { customer: customerId })).status).toBe(200);
    expect(await get("/wallets/u")).toMatchObject({ balance: "1.5", customerId });
  });

  it("takes any name: slashes, blanks, percent signs, letters of all scripts", async () => {
    const { worker, key, post } = await live();
    const names = ["a/b", "a b", "100%", "%41", "ünï/cödé ☂", "x".repeat(512), "日".repeat(200), "?q=1#f"];
    for (const [i, name] of names.entries()) {
      expect((await post("/track", { customer: name, feature: "f", usage: { tokens: i + 1 } })).status).toBe(200);
    }
    for (const [i, name] of names.entries()) {
      const { status, body } = await worker.call<Wallet & { userId: string }>(
        "GET",
        `/api/v1/wallets/${encodeURIComponent(name)}`,
        { key },
      );
      expect([status, body.userId, body.balance], name).toEqual([200, name, `-0.${i + 1}`]);
    }
  });

  it("adds up exactly: ten times 0.1, 10⁻¹², and 2⁵³ + 1", async () => {
    const { get, track, post } = await live();
    await post("/wallets/u/grants", { amount: "9007199254740993.000000000001", kind: "paid" });
    for (let i = 0; i < 10; i++) await track(1);
    expect(await get("/wallets/u")).toMatchObject({ balance: "9007199254740992.000000000001" });
    await track("0.00000000001");
    expect(await get("/wallets/u")).toMatchObject({ balance: "9007199254740992" });
  });

  it("pays consumed usage only as far as it may, and records nothing of a refusal", async () => {
    const { get, track, post, worker, key } = await live();
    await post("/wallets/u/grants", { amount: 1, kind: "paid" });
    expect((await track(10, { enforce: true })).status).toBe(200);
    const refused = await track(1, { enforce: true, id: "x" });
    expect(refused).toMatchObject({
      status: 402,
      body: {
        type: "https://tollgate.dev/problems/insufficient-credits",
        available: "0",
        required: "0.1",
        currency: "CREDITS",
      },
    });
    await worker.call("PATCH", "/api/v1/wallets/u", { key, body: { overdraftLimit: "0.1" } });
    expect(await track(1, { enforce: true, id: "x" })).toMatchObject({ status: 200, body: { duplicate: false } });
    await worker.call("PATCH", "/api/v1/wallets/u", { key, body: { status: "FROZEN" } });
    expect(await track(1, { enforce: true })).toMatchObject({
      status: 403,
      body: { type: "https://tollgate.dev/problems/wallet-frozen" },
    });
    expect((await track(1)).status).toBe(200);
    expect(await get("/wallets/u")).toMatchObject({ balance: "-0.2", status: "FROZEN" });
    expect((await post("/check", { customer: "u", feature: "f", usage: { tokens: 1 } })).body).toMatchObject({
      allowed: false,
      reason: "wallet-frozen",
    });
    expect((await post("/check", { customer: "new", feature: "f", usage: { tokens: 1 } })).body).toMatchObject({
      allowed: false,
      reason: "insufficient-credits",
      cost: { amount: "0.1" },
    });
    expect((await post("/check", { customer: "new", feature: "f" })).body).toMatchObject({
      allowed: false,
      reason: "insufficient-credits",
    });
  });

  it("answers a repeated track with the original outcome", async () => {
    const { track } = await live();
    const first = await track(5, { id: "1" });
    await track(7, { id: "2" });
    expect((await track(5, { id: "1" })).body).toEqual({ ...first.body, duplicate: true });
  });

  it("lists grants and transactions in pages, newest first, whose chain verifies", async () => {
    const { get, post, track } = await live();
    for (let i = 1; i <= 5; i++) await post("/wallets/u/grants", { amount: i, kind: "paid", reason: `r${i}` });
    await track(20);
    const pages = async (path: string) => {
      const items: Record<string, unknown>[] = [];
      for (let cursor: string | undefined = ""; cursor !== undefined;) {
        const page: Page = await get<Page>(
          `${path}?limit=2${cursor === "" ? "" : `&cursor=${encodeURIComponent(cursor)}`}`,
        );
        expect(page.items.length).toBeLessThanOrEqual(2);
        items.push(...page.items);
        cursor = page.nextCursor;
      }
      return items;
    };
    expect((await pages("/wallets/u/grants")).map(({ reason }) => reason)).toEqual(["r5", "r4", "r3", "r2", "r1"]);
    const transactions = await pages("/wallets/u/transactions");
    expect(transactions.map(({ type, amount, balanceAfter }) => [type, amount, balanceAfter])).toEqual([
      ["debit", "-2", "13"],
      ["grant", "5", "15"],
      ["grant", "4", "10"],
      ["grant", "3", "6"],
      ["grant", "2", "3"],
      ["grant", "1", "1"],
    ]);
    expect(await get("/wallets/u/transactions/verify")).toEqual({
      valid: true,
      entries: 6,
      balance: "13",
      head: expect.stringMatching(/^[0-9a-f]{64}$/),
    });
  });

  it("takes back what is left of a voided grant, once", async () => {
    const { post, get, track } = await live();
    const { id } = (await post<{ id: string }>("/wallets/u/grants", { amount: 10, kind: "paid", id: "my grant/1" }))
      .body;
    await track(30);
    const path = `/wallets/u/grants/${encodeURIComponent(id)}/void`;
    for (const _ of [1, 2])
      expect(await post(path, undefined)).toMatchObject({ status: 200, body: { id, status: "voided" } });
    expect(await get("/wallets/u")).toMatchObject({ balance: "0" });
  });

  it("is in the store's lists as soon as a grant, a change or a void is answered", async () => {
    const { worker, tenant, post, get } = await live();
    await post("/wallets/u/grants", { amount: 10, kind: "paid" });
    const { customerId } = await get<Wallet>("/wallets/u");
    expect(await findWallet(worker.context().store, tenant.id, customerId)).toMatchObject({
      balance: "10",
      status: "ACTIVE",
    });
    await worker.call("PATCH", "/api/v1/wallets/u", { key: tenant.apiKey, body: { status: "FROZEN" } });
    expect(await findWallet(worker.context().store, tenant.id, customerId)).toMatchObject({
      balance: "10",
      status: "FROZEN",
    });
  });
});

describe("a burn table", () => {
  it("gets its next version at the earliest 60 s ahead in a live namespace, which is the default", async () => {
    const { post, worker, get } = await live();
    const soon = new Date(worker.now() + 30_000).toISOString();
    expect(await post("/burn-tables", { ...table, effectiveFrom: soon })).toMatchObject({
      status: 400,
      body: { validationErrors: [{ field: "effectiveFrom" }] },
    });
    const later = await post<{ version: number; effectiveFrom: string }>("/burn-tables", table);
    expect(later.body.version).toBe(2);
    expect(Date.parse(later.body.effectiveFrom) - worker.now()).toBeGreaterThan(55_000);
    expect((await get<Page>("/burn-tables/standard/versions")).items.map(({ version }) => version)).toEqual([2, 1]);
    expect(await get("/burn-tables/standard")).toMatchObject({ version: 2, default: true });
  });

  it("is the namespace's default when it was the first, or when it says so", async () => {
    const { post, get } = await live();
    expect((await post("/burn-tables", { ...table, key: "b" })).body).toMatchObject({ default: false });
    expect((await post("/burn-tables", { ...table, key: "c", default: true })).body).toMatchObject({ default: true });
    expect((await get<Page>("/burn-tables")).items.map(({ key, default: isDefault }) => [key, isDefault])).toEqual([
      ["b", false],
      ["c", true],
      ["standard", false],
    ]);
  });

  it("prices quote, check, track and events alike", async () => {
    const { post, track, key, worker, get } = await live();
    const asked = { feature: "f", usage: { tokens: "3.7" } };
    const quoted = (await post("/quote", asked)).body;
    expect(quoted).toEqual({
      amount: "0.37",
      currency: "CREDITS",
      burnTable: { key: "standard", version: 1 },
      lines: [{ dimension: "tokens", quantity: "3.7", rate: "0.1", per: "1", amount: "0.37" }],
    });
    expect((await post("/quote", { ...asked, customer: "u" })).body).toEqual(quoted);
    expect((await post("/check", { ...asked, customer: "u" })).body).toMatchObject({ cost: quoted });
    expect((await track("3.7")).body.cost).toEqual(quoted);
    await worker.call("POST", "/api/v1/events", {
      key,
      body: someEvent({ type: "f", subject: "e", data: { usage: { tokens: 3.7 } } }),
    });
    expect(await get("/wallets/e")).toMatchObject({ balance: "-0.37" });
    expect(await post("/quote", { feature: "f", usage: { pixels: 1 } })).toMatchObject({
      status: 422,
      body: { type: "https://tollgate.dev/problems/unpriced-usage" },
    });
  });

  it("prices late, on request, what had no price when it happened", async () => {
    const { track, post, get } = await live({ priced: false });
    expect((await track(1)).body.cost).toBeNull();
    expect((await track(2, { customer: "v" })).body.wallet.unrated).toBe(1);
    await post("/burn-tables", { ...table, effectiveFrom: "2020-01-01T00:00:00Z" });
    expect((await post("/events/rate", { customer: "u", to: "2021-01-01T00:00:00Z" })).body).toEqual({
      rated: 0,
      remaining: 1,
    });
    expect((await post("/events/rate", { customer: "u" })).body).toEqual({ rated: 1, remaining: 0 });
    expect([await get("/wallets/u"), await get("/wallets/v")]).toMatchObject([
      { balance: "-0.1", unrated: 0 },
      { balance: "0", unrated: 1 },
    ]);
  });

  it("prices late for all customers that the store knows of", async () => {
    const { track, post, get } = await live({ priced: false });
    for (const customer of ["u", "v"]) {
      await track(1, { customer });
      // A control-plane write brings the wallet into the store at once.
      await post(`/wallets/${customer}/grants`, { amount: 1, kind: "paid" });
    }
    expect(await get("/status")).toMatchObject({ unrated: 2, customers: 2 });
    await post("/burn-tables", { ...table, effectiveFrom: "2020-01-01T00:00:00Z" });
    expect((await post("/events/rate", {})).body).toEqual({ rated: 2, remaining: 0 });
    expect([await get("/wallets/u"), await get("/wallets/v")]).toMatchObject([{ balance: "0.9" }, { balance: "0.9" }]);
    expect(await get("/status")).toMatchObject({ unrated: 0 });
  });
});
