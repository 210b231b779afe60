import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readdir, readFile, rm, stat } from "node:fs/promises";
import { createServer, type AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";
import { LOCAL_KEY, startLocal, StartRefused, type Local } from "./local";

const ROOT = join(import.meta.dirname, "..");
const HOOKS = join(ROOT, "scripts", "typescript.mjs");

let stateDir: string;
const running: (Local | ChildProcess)[] = [];

beforeEach(async () => {
  stateDir = await mkdtemp(join(tmpdir(), "tollgate-"));
});

afterEach(async () => {
  for (const one of running.splice(0)) await ("close" in one ? one.close() : stop(one));
  await rm(stateDir, { recursive: true, force: true });
});

async function stop(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  child.kill("SIGINT");
  await once(child, "close");
}

const start = async (options: Parameters<typeof startLocal>[0] = {}) => {
  const local = await startLocal({ port: 0, stateDir, cron: false, ...options });
  running.push(local);
  return local;
};

/** `npm start` as a process of its own; resolves with what it said once it is ready or has ended. */
async function serve(port: number): Promise<{ child: ChildProcess; output: string }> {
  const env = { ...process.env, PORT: String(port), TOLLGATE_STATE: stateDir, NODE_OPTIONS: "" };
  const child = spawn(process.execPath, ["--import", HOOKS, join(ROOT, "scripts", "serve.ts")], { env });
  running.push(child);
  let output = "";
  const ready = new Promise<void>((done) => {
    const listen = (chunk: Buffer) => {
      output += chunk.toString();
      if (output.includes("curl ")) done();
    };
    child.stdout.on("data", listen);
    child.stderr.on("data", listen);
  });
  await Promise.race([ready, once(child, "close")]);
  return { child, output };
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, "close");
  return port;
}

const isHealthy = async (port: number | string) => (await fetch(`http://127.0.0.1:${port}/healthz`)).ok;

it("serves the Worker with a migrated database and its objects on disk", async () => {
  const local = await start();
  expect(await isHealthy(local.url.port)).toBe(true);

  const db = (await local.miniflare.getD1Database("DB")) as unknown as D1Database;
  const { results } = await db.prepare("SELECT name FROM d1_migrations ORDER BY id").all<{ name: string }>();
  const files = (await readdir(join(ROOT, "schema/migrations/sqlite")))
    .filter((name) => name.endsWith(".sql"))
    .toSorted();
  expect(results.map(({ name }) => name)).toEqual(files);

  expect(await readdir(join(stateDir, "do", "tollgate-Customer"))).toContain("metadata.sqlite");
  expect(local.workerdPids()).toHaveLength(1);
});

it("fires the cron trigger", async () => {
  const lines: string[] = [];
  const local = await start({ onLog: ({ level, message }) => level === "error" && lines.push(message) });
  await local.runCron();
  expect(lines).toEqual([]);
});

it("starts again on the state that it left, and applies no migration twice", async () => {
  const first = await start();
  await first.close();
  running.length = 0;
  expect(await isHealthy((await start()).url.port)).toBe(true);
});

it("keeps one secret for portal tokens per state directory, which nobody else can read", async () => {
  const first = await start();
  const headers = { authorization: `Bearer ${LOCAL_KEY}`, "content-type": "application/json" };
  const body = JSON.stringify({ subject: "customer-1" });
  const made = await fetch(new URL("/api/v1/portal/tokens", first.url), { method: "POST", headers, body });
  const { token } = (await made.json()) as { token: string };
  await first.close();
  running.length = 0;
  const second = await start();
  const query = (bearer: string) =>
    fetch(new URL("/api/v1/portal/meters/api_requests_total/query", second.url), {
      headers: { authorization: `Bearer ${bearer}` },
    });
  expect([(await query(token)).status, (await query(`${token}x`)).status]).toEqual([200, 401]);
  expect((await stat(join(stateDir, "portal-secret"))).mode & 0o777).toBe(0o600);
});

it("loses nothing that was acknowledged when workerd is killed with -9", async () => {
  const track = (local: Local) =>
    fetch(new URL("/api/v1/track", local.url), {
      method: "POST",
      headers: { authorization: `Bearer ${LOCAL_KEY}`, "content-type": "application/json" },
      body: JSON.stringify({ id: "once", source: "test", customer: "c", feature: "f", usage: { inputTokens: 1 } }),
    });
  const first = await start();
  expect(await (await track(first)).json()).toMatchObject({ duplicate: false });
  await first.crash();
  running.length = 0;
  expect(await (await track(await start())).json()).toMatchObject({ duplicate: true });
});

it("lets nobody on the machine make a key through the seed", async () => {
  const local = await start();
  for (const authorization of ["", `Bearer ${LOCAL_KEY}`, "Bearer undefined"]) {
    const headers = { "content-type": "application/json", authorization };
    const body = JSON.stringify({ apiKey: "tg_intruder" });
    const seeded = await fetch(new URL("/__local/seed", local.url), { method: "POST", headers, body });
    expect(seeded.status).toBe(404);
  }
  const status = (key: string) =>
    fetch(new URL("/api/v1/status", local.url), { headers: { authorization: `Bearer ${key}` } });
  expect([(await status("tg_intruder")).status, (await status(LOCAL_KEY)).status]).toEqual([401, 200]);
});

it("refuses a port that is in use, and says what to type", async () => {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  await expect(start({ port })).rejects.toThrow(
    new StartRefused(`Port ${port} is in use. Set PORT to another one: PORT=${port + 1} npm start`),
  );
  server.close();
});

it("refuses a state directory that a running launcher holds", async () => {
  await serve(await freePort());
  await expect(start()).rejects.toThrow(/Another Tollgate \(process \d+\) is using /);
});

it("takes over port and state after kill -9 of the launcher, which leaves its workerd behind", async () => {
  const port = await freePort();
  const { child } = await serve(port);
  const { workerdPids } = JSON.parse(await readFile(join(stateDir, "launcher.json"), "utf8")) as {
    workerdPids: number[];
  };
  child.kill("SIGKILL");
  await once(child, "close");
  expect(await isHealthy(port)).toBe(true); // the orphan still answers

  const { output } = await serve(port);
  expect(output).toContain(`Tollgate is ready at http://localhost:${port}`);
  const now = JSON.parse(await readFile(join(stateDir, "launcher.json"), "utf8")) as { workerdPids: number[] };
  expect(now.workerdPids).not.toEqual(workerdPids);
});

it("stops cleanly on a signal, says nothing of worry, and frees the state directory", async () => {
  const { child, output } = await serve(await freePort());
  expect(output).not.toMatch(/warn|error|deprecat|experimental/i);
  child.kill("SIGINT");
  expect(await once(child, "close")).toEqual([0, null]);
  expect(await readdir(stateDir)).not.toContain("launcher.json");
});
