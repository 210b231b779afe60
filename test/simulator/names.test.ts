/** Which names lead to an object, and who it says it is. */
import { describe, expect, it, vi } from "vitest";
import { Customer } from "../../durable-objects/customer";
import type { Call } from "../../durable-objects/rpc";
import { Platform } from "./objects";

vi.mock("cloudflare:workers", async () => (await import("./objects")).platformModule);
vi.useFakeTimers({ toFake: ["Date"] });

const NAMESPACE = "01JD0000000000000000000000";
const ID = "01JD8ZQ6M5T9W3XK2V7B4C1N0R";

function world() {
  const platform = new Platform(NAMESPACE, Customer, (ms) => vi.setSystemTime(ms));
  vi.stubGlobal("scheduler", platform);
  const call = (name: string): Call => ({ namespaceId: NAMESPACE, name, configVersion: 0 });
  /** Asks by a name, wherever it leads, as the edge does: by its own object, or by another that was remembered. */
  const ask = async (name: string, start = platform.nameOf(name)) => {
    const way = [start];
    for (;;) {
      const answer = await platform.object(way.at(-1)!).identify(call(name));
      if (answer.ok) return { way, object: way.at(-1)!, identity: answer.identity };
      if (answer.reason !== "moved" || way.length > 8) throw new Error(answer.reason);
      way.push(answer.home);
    }
  };
  const eventJson = (id: string) =>
    JSON.stringify({ id, source: "s", type: "t", subject: "x", time: 1, data: { usage: { tokens: 1 } } });
  const record = async (name: string, id: string) => {
    const { object } = await ask(name);
    return platform.object(object).record(call(name), `[${eventJson(id)}]`, false);
  };
  const writes = async (work: () => Promise<unknown>) => {
    let count = 0;
    platform.beforeWrite = () => void count++;
    await work();
    platform.beforeWrite = () => undefined;
    return count;
  };
  return {
    platform,
    call,
    ask,
    record,
    writes,
    eventJson,
    of: (name: string) => platform.object(platform.nameOf(name)),
  };
}

describe("a customer that the API makes", () => {
  it("takes its id and key where nothing was, and leads there by its id at once", async () => {
    const { platform, of, call, ask, writes } = world();
    expect(await of("acme").identify(call("acme"))).toEqual({ ok: true, identity: null });
    expect(await of("acme").adopt(call("acme"), { customerId: ID, key: null })).toEqual({ ok: true, customerId: ID });
    const { object, identity } = await ask(ID);
    expect(object).toBe(platform.nameOf("acme"));
    expect(identity).toEqual({ customerId: ID, key: null, object, declared: true, currency: "CREDITS", moved: false });
    expect(await platform.object(object).wallet(call(ID))).toMatchObject({ wallet: { customerId: ID, userId: ID } });
    expect(await writes(() => of("acme").adopt(call("acme"), { customerId: ID, key: null }))).toBe(0);
    platform.evictAll();
    expect(await writes(() => of("acme").adopt(call("acme"), { customerId: ID, key: null }))).toBe(0);
  });

  it("keeps the id that its events gave it, and gets its key", async () => {
    const { platform, of, call, record, ask } = world();
    await record("acme", "e");
    const before = (await ask("acme")).identity!;
    expect(before).toMatchObject({ key: "acme", declared: false });
    const adopted = await of("acme").adopt(call("acme"), { customerId: ID, key: "ACME" });
    expect(adopted).toEqual({ ok: true, customerId: before.customerId });
    platform.evictAll();
    expect((await ask("acme")).identity).toEqual({ ...before, key: "ACME", declared: true });
    expect(await of("acme").wallet(call("acme"))).toMatchObject({ wallet: { userId: "ACME" } });
  });

  it("has its id for certain before, and is no customer by that alone", async () => {
    const { of, call, ask, record } = world();
    expect(await of("acme").reserve(call("acme"), ID)).toMatchObject({ identity: { customerId: ID, declared: false } });
    await record("acme", "e");
    expect(await of("acme").reserve(call("acme"), "01JD8ZQ6M5T9W3XK2V7B4C1N0S")).toMatchObject({
      identity: { customerId: ID },
    });
    expect((await ask("acme")).identity).toMatchObject({ customerId: ID, declared: false });
  });

  it("is also whoever tracks, is granted credits or gets terms; who only sends events is none", async () => {
    const { platform, of, call, record, ask, eventJson } = world();
    await record("events", "e");
    await of("tracks").track(call("tracks"), { eventJson: eventJson("e"), enforce: false });
    await of("terms").patchWallet(call("terms"), { overdraftLimit: "1" });
    platform.evictAll();
    const declared = [];
    for (const name of ["events", "tracks", "terms"]) declared.push((await ask(name)).identity!.declared);
    expect(declared).toEqual([false, true, true]);
  });
});

describe("a name", () => {
  it("that is taken from its own object leads to a fresh one, the same after any repeat; the past stays", async () => {
    const { platform, of, call, record, ask, writes } = world();
    await record("acme", "e");
    await of("acme").adopt(call("acme"), { customerId: ID, key: "acme" });
    const released = await of("acme").release(call(ID), ["acme", "acme"]);
    const fresh = released.ok ? released.targets["acme"]! : "";
    expect(fresh).not.toBe(platform.nameOf("acme"));
    expect(await writes(() => of("acme").release(call("acme"), ["acme"]))).toBe(0);
    platform.evictAll();
    expect(await of("acme").release(call("acme"), ["acme"])).toEqual({ ok: true, targets: { acme: fresh } });
    expect(await ask("acme")).toMatchObject({ object: fresh, identity: null });
    // Who comes next under this name is somebody else.
    expect(await record("acme", "e")).toMatchObject({ recorded: 1 });
    const { identity } = await ask("acme");
    expect(identity).toMatchObject({ key: "acme", object: fresh, declared: false });
    expect((await ask(identity!.customerId)).object).toBe(fresh);
    // And may lose it in turn. Whoever remembers the first or the second is sent on to the third.
    const home = platform.nameOf("acme");
    const unlinked = await of("acme").unlink(call("acme"), home, fresh);
    const fresher = unlinked.ok ? unlinked.target : "";
    expect([home, fresh]).not.toContain(fresher);
    await platform.object(fresh).release(call(identity!.customerId), ["acme"]);
    expect((await ask("acme")).way).toEqual([home, fresher]);
    expect((await ask("acme", fresh)).way).toEqual([fresh, home, fresher]);
  });

  it("that pointed to a home is its own object's again, and whoever remembers the home is sent there", async () => {
    const { platform, of, call, record, ask } = world();
    await of("acme").adopt(call("acme"), { customerId: ID, key: "acme" });
    const [home, subject] = [platform.nameOf("acme"), platform.nameOf("subject")];
    expect(await of("subject").linkTo(call("subject"), home)).toEqual({ ok: true });
    expect((await ask("subject")).object).toBe(home);
    await record("subject", "past");
    expect(await of("subject").unlink(call("subject"), subject, home)).toEqual({ ok: true, target: subject });
    expect(await of("acme").release(call(ID), ["subject"])).toEqual({ ok: true, targets: { subject } });
    expect((await ask("subject", home)).way).toEqual([home, subject]);
    platform.evictAll();
    await record("subject", "future");
    expect((await ask("subject")).identity).toMatchObject({ key: "subject", object: subject });
    // Again, with what it has by now.
    expect(await of("acme").own(call(ID), { names: ["subject"], key: "ACME" })).toEqual({
      ok: true,
      before: { subject },
    });
    expect((await ask("acme")).identity).toMatchObject({ key: "ACME" });
    expect(await of("subject").linkTo(call("subject"), home)).toEqual({ ok: false, reason: "has_data" });
    expect(await of("subject").mergeInto(call(""), { id: "m", home })).toMatchObject({ ok: true, done: true });
    expect((await ask("subject")).way).toEqual([subject, home]);
    expect(await of("acme").record(call("subject"), "[]", false)).toMatchObject({ ok: true });
    // Whose data has moved cannot be empty again: its name leads to a fresh object.
    const unlinked = await of("subject").unlink(call("subject"), subject, home);
    const fresh = unlinked.ok ? unlinked.target : "";
    expect([subject, home]).not.toContain(fresh);
    await of("acme").release(call(ID), ["subject"]);
    expect((await ask("subject", home)).way).toEqual([home, subject, fresh]);
    expect(await of("subject").linkTo(call("subject"), home)).toEqual({ ok: false, reason: "moved", home: fresh });
    expect(await platform.object(fresh).linkTo(call("subject"), home)).toEqual({ ok: true });
    expect(await of("acme").own(call(ID), { names: ["subject"] })).toEqual({ ok: true, before: { subject } });
    expect((await ask("subject")).way).toEqual([subject, fresh, home]);
  });

  it("that its own home gave away and took back tells where it had led meanwhile", async () => {
    const { platform, of, call, record, ask } = world();
    const home = platform.nameOf("acme");
    await of("acme").adopt(call("acme"), { customerId: ID, key: "acme" });
    await of("acme").release(call(ID), ["acme"]);
    await record("acme", "e");
    const { object: fresh } = await ask("acme");
    for (const _ of [1, 2])
      expect(await of("acme").own(call(ID), { names: ["acme", "never"] })).toEqual({
        ok: true,
        before: { acme: fresh },
      });
    expect((await ask("acme")).way).toEqual([home]);
    expect(await of("acme").linkTo(call("acme"), home)).toEqual({ ok: true });
    expect(await platform.object(fresh).linkTo(call("acme"), home)).toEqual({ ok: false, reason: "has_data" });
    expect(await platform.object(fresh).mergeInto(call(""), { id: fresh, home })).toMatchObject({ done: true });
    expect(await of("acme").record(call("acme"), `[${world().eventJson("e")}]`, false)).toMatchObject({
      duplicates: 1,
    });
  });

  it("without data costs nothing to ask for, and becomes an ordinary object after it was a stub", async () => {
    const { platform, of, call, record, writes } = world();
    expect(await writes(() => of("x").identify(call("x")))).toBe(0);
    expect(await writes(() => of("x").unlink(call("x"), platform.nameOf("x"), platform.nameOf("y")))).toBe(0);
    expect(await of("x").mergeInto(call(""), { id: "m", home: platform.nameOf("y") })).toMatchObject({ done: true });
    expect(await of("x").record(call("x"), "[]", false)).toMatchObject({ reason: "moved" });
    await of("x").linkTo(call("x"), platform.nameOf("x"));
    platform.evictAll();
    expect(await record("x", "e")).toMatchObject({ ok: true, recorded: 1 });
  });
});
