import { it, vi } from "vitest";
import { Customer } from "../../durable-objects/customer";
import { Platform } from "./objects";
vi.mock("cloudflare:workers", async () => (await import("./objects")).platformModule);
vi.useFakeTimers({ toFake: ["Date"] });
it("x", async () => {
  const ns = "01JD0000000000000000000000";
  const p = new Platform(ns, Customer as never, (ms) => vi.setSystemTime(ms));
  vi.stubGlobal("scheduler", p);
  const conf = { version: 1, defaults: [{ key: "c", from: 0 }], burnTables: [{ key: "c", version: 1, currency: "CREDITS", effectiveFrom: 0, markup: "1", priceBook: null, mappings: [], rules: [{ dimension: "tokens", rate: "1", per: "1" }] }], meters: [] } as never;
  const [h, s, t] = [p.nameOf("home"), p.nameOf("source"), p.nameOf("third")];
  const call = (name: string) => ({ namespaceId: ns, name, configVersion: 0 });
  const ev = (id: string) => ({ id, source: "t", type: "chat", subject: "x", time: 1790000000000 + id.length, data: { usage: { tokens: 1 } } });
  for (const [o, size, n] of [["home", 10_000, 3], ["source", 10_000, 5], ["third", 1, 30_000]] as const) {
    await p.configure(p.nameOf(o), conf);
    for (let b = 0; b < n; b++) await p.object(p.nameOf(o)).record(call(o), JSON.stringify(Array.from({ length: size }, (_, i) => ev(`${o} b${b} ${i}`))), false);
    await p.ring();
  }
  for (const [a, b] of [[s, h], [t, h]] as const) {
  const t0 = performance.now();
  let calls = 0;
  for (;;) { calls++; const r = await p.object(a).mergeInto(call(""), { id: a, home: b }); if (r.ok && r.done) break; }
  console.log("merged", calls, Math.round(performance.now() - t0), "ms");
  }
  console.log(await p.object(h).wallet(call("home")));
}, 300_000);
