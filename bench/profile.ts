/**
 * Where the product's CPU goes under load: `node --import ./scripts/typescript.mjs bench/profile.ts [track|events|read] [--requests n]
 * [--top n] [--out file.cpuprofile]`. Takes a CPU profile of the product's isolate through workerd's inspector, edge and objects
 * together, and prints the functions by the time in themselves; --out also writes it for Chrome's DevTools.
 * JavaScript only: what the process spends outside of it (HTTP, sockets, disk) is the row "(program)".
 */
import { writeFileSync } from "node:fs";
import { SourceMap, type SourceMapPayload } from "node:module";
import { createServer } from "node:net";
import { parseArgs } from "node:util";
import Table from "cli-table3";
import WebSocket from "ws";
import { bundleWorker } from "../scripts/bundle";
import { apiOf, grant, publishPrices } from "./api";
import { planOf } from "./contest";
import { processCpuMs } from "./cpu";
import { fixed } from "./figure";
import { closeAll, freshState, startInstrumented, startProduct } from "./instance";
import { startLoad } from "./load";
import { idle } from "./settled";
import { newStream, ROUTES } from "./stage";

const SAMPLING_US = 250;
const WARM_UP_SHARE = 0.5;
const QUIET_LIMIT_MS = 60_000;
const DEFAULT_REQUESTS = { track: 6_000, events: 600, read: 8_000 };

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { requests: { type: "string" }, top: { type: "string", default: "30" }, out: { type: "string" } },
});
const kind = (positionals[0] ?? "track") as keyof typeof DEFAULT_REQUESTS;
if (!(kind in DEFAULT_REQUESTS)) throw new Error(`profile one of ${Object.keys(DEFAULT_REQUESTS).join(", ")}`);
const requests = values.requests === undefined ? DEFAULT_REQUESTS[kind] : Number(values.requests);

interface CpuProfile {
  nodes: { id: number; callFrame: { functionName: string; url: string; lineNumber: number; columnNumber: number } }[];
  samples: number[];
  timeDeltas: number[];
}

const load = startLoad();
try {
  const stateDir = await freshState("profile");
  // Migrates and seeds; the inspected instance goes on with the same state.
  await (await startProduct(stateDir)).close();
  const inspectorPort = await freePort();
  const instance = await startInstrumented(stateDir, { inspectorPort });
  const api = apiOf(instance);
  await publishPrices(api);
  await grant(api, "profiled", 1_000_000);

  const stream = newStream(kind, "profiled", kind === "events" ? 100 : 1);
  const route = kind === "read" ? { ...ROUTES.read, path: "/api/v1/wallets/profiled" } : ROUTES[kind];
  const warmUp = Math.ceil(requests * WARM_UP_SHARE);
  await load.send(planOf(instance, route, stream, 0, warmUp));
  await idle(instance, QUIET_LIMIT_MS);

  const inspector = await inspect(inspectorPort);
  await inspector.send("Profiler.enable");
  await inspector.send("Profiler.setSamplingInterval", { interval: SAMPLING_US });
  await inspector.send("Profiler.start");
  const cpuBefore = processCpuMs(instance.pid);
  const { wallMs } = await load.send(planOf(instance, route, stream, warmUp, requests));
  await idle(instance, QUIET_LIMIT_MS);
  const cpuMs = processCpuMs(instance.pid) - cpuBefore;
  const { profile } = (await inspector.send("Profiler.stop")) as { profile: CpuProfile };
  inspector.close();
  if (values.out !== undefined) writeFileSync(values.out, JSON.stringify(profile));
  await print(profile, cpuMs, wallMs);
} finally {
  load.close();
  await closeAll();
}

async function print(profile: CpuProfile, cpuMs: number, wallMs: number): Promise<void> {
  const place = await sourcePlaces();
  const frames = new Map(profile.nodes.map(({ id, callFrame }) => [id, `${callFrame.functionName || "(anonymous)"}\0${place(callFrame)}`]));
  const selfUs = new Map<string, number>();
  for (const [index, id] of profile.samples.entries()) {
    const frame = frames.get(id)!;
    selfUs.set(frame, (selfUs.get(frame) ?? 0) + profile.timeDeltas[index]!);
  }
  const idleUs = [...selfUs].find(([frame]) => frame.startsWith("(idle)"))?.[1] ?? 0;
  const busyUs = [...selfUs.values()].reduce((sum, us) => sum + us, 0) - idleUs;
  const events = kind === "events" ? " of 100 events" : "";
  console.log(
    `${kind}: ${requests} requests${events} in ${fixed(wallMs / 1_000, 1)} s; workerd used ${fixed((cpuMs * 1_000) / requests, 0)} µs CPU a request ` +
      `(more than without the profiler), the isolate ${fixed(busyUs / requests, 0)} µs`,
  );
  const table = new Table({ head: ["self µs/request", "share", "function", "at"], style: { head: [], border: [] }, colAligns: ["right", "right", "left", "left"] });
  const top = [...selfUs].filter(([frame]) => !frame.startsWith("(idle)")).toSorted(([, a], [, b]) => b - a).slice(0, Number(values.top));
  for (const [frame, us] of top) {
    const [name, at] = frame.split("\0");
    table.push([fixed(us / requests, 1), `${fixed((us / busyUs) * 100, 1)} %`, name, at]);
  }
  console.log(table.toString());
}

/** Positions in the bundle as positions in our sources, from the bundle's inline source map. */
async function sourcePlaces(): Promise<(frame: CpuProfile["nodes"][number]["callFrame"]) => string> {
  const script = String((await bundleWorker())[0]?.contents);
  const map = script.slice(script.lastIndexOf("base64,") + "base64,".length).trim();
  const sources = new SourceMap(JSON.parse(Buffer.from(map, "base64").toString()) as SourceMapPayload);
  return ({ url, lineNumber, columnNumber }) => {
    if (!url.endsWith("index.js")) return url;
    const entry = sources.findEntry(lineNumber, columnNumber);
    return "originalSource" in entry ? `${entry.originalSource.replace(/^(\.\.\/)+/, "")}:${entry.originalLine + 1}` : url;
  };
}

interface Inspector {
  send(method: string, params?: unknown): Promise<unknown>;
  close(): void;
}

async function inspect(port: number): Promise<Inspector> {
  const targets = (await (await fetch(`http://127.0.0.1:${port}/json`)).json()) as { webSocketDebuggerUrl: string }[];
  const target = targets[0];
  if (target === undefined) throw new Error("the inspector offers no target");
  const socket = new WebSocket(target.webSocketDebuggerUrl);
  await new Promise<void>((resolve, reject) => void socket.once("open", () => resolve()).once("error", reject));
  const waiting = new Map<number, { resolve(result: unknown): void; reject(error: Error): void }>();
  socket.on("message", (data: Buffer) => {
    const message = JSON.parse(data.toString()) as { id?: number; result?: unknown; error?: { message: string } };
    const caller = message.id === undefined ? undefined : waiting.get(message.id);
    if (caller === undefined) return;
    if (message.error === undefined) caller.resolve(message.result);
    else caller.reject(new Error(message.error.message));
  });
  let lastId = 0;
  return {
    send: (method, params = {}) =>
      new Promise((resolve, reject) => {
        waiting.set(++lastId, { resolve, reject });
        socket.send(JSON.stringify({ id: lastId, method, params }));
      }),
    close: () => socket.close(),
  };
}

function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const probe = createServer().once("error", reject);
    probe.listen(0, "127.0.0.1", () => {
      const address = probe.address();
      probe.close(() => resolve(typeof address === "object" && address !== null ? address.port : 0));
    });
  });
}
