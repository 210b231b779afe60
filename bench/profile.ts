/**
 * Where CPU goes under load: `node --import ./scripts/typescript.mjs bench/profile.ts [track|events|read] [--of store] [--requests n]
 * [--top n] [--out file.cpuprofile]`. Takes a CPU profile through workerd's inspector, of the product (edge and objects together) or
 * of a baseline, and prints the functions by the time in themselves; --out also writes it for Chrome's DevTools.
 * JavaScript and what it calls only: HTTP, sockets and disk are other threads' and show as the difference to workerd's CPU.
 */
import { writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { parseArgs } from "node:util";
import Table from "cli-table3";
import WebSocket from "ws";
import { apiOf, grant, publishPrices } from "./api";
import { sumsOf, type Stream } from "./bodies";
import { planOf, type Route } from "./contest";
import { processCpuMs } from "./cpu";
import { fixed } from "./figure";
import {
  closeAll,
  freshState,
  startBaseline,
  startInstrumented,
  startProduct,
  type Baseline,
  type Instance,
} from "./instance";
import { startLoad } from "./load";
import { credits, idle, landed } from "./settled";
import { newStream, ROUTES } from "./stage";

const SAMPLING_US = 200;
const SAMPLE_US_MAX = 5 * SAMPLING_US;
const CUSTOMER = "profiled";
const GRANTED = 1_000_000;
const LINE_CHARS = 50;
const WARM_UP_SHARE = 0.5;
const QUIET_LIMIT_MS = 60_000;
const DEFAULT_REQUESTS = { track: 6_000, events: 600, read: 8_000 };

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    of: { type: "string" },
    requests: { type: "string" },
    top: { type: "string", default: "30" },
    out: { type: "string" },
  },
});
const kind = (positionals[0] ?? "track") as keyof typeof DEFAULT_REQUESTS;
if (!(kind in DEFAULT_REQUESTS)) throw new Error(`profile one of ${Object.keys(DEFAULT_REQUESTS).join(", ")}`);
const requests = values.requests === undefined ? DEFAULT_REQUESTS[kind] : Number(values.requests);

interface CpuProfile {
  nodes: { id: number; callFrame: CallFrame; children?: number[] }[];
  samples: number[];
  timeDeltas: number[];
}

interface CallFrame {
  functionName: string;
  url: string;
  lineNumber: number;
  columnNumber: number;
}

/** Of one function, wherever it was called from. */
interface Cost {
  name: string;
  at: string;
  selfUs: number;
  /** With what it called. */
  totalUs: number;
}

const load = startLoad();
try {
  const inspectorPort = await freePort();
  const { instance, route, stream, quiet, fileOf } = await (values.of === undefined
    ? ours(inspectorPort)
    : theirs(values.of as Baseline, inspectorPort));
  const warmUp = Math.ceil(requests * WARM_UP_SHARE);
  await load.send(planOf(instance, route, stream, 0, warmUp));
  await idle(instance, QUIET_LIMIT_MS);

  const inspector = await inspect(inspectorPort);
  await inspector.send("Profiler.enable");
  await inspector.send("Profiler.setSamplingInterval", { interval: SAMPLING_US });
  await inspector.send("Profiler.start");
  const cpuBefore = processCpuMs(instance.pid);
  const { wallMs } = await load.send(planOf(instance, route, stream, warmUp, requests));
  await quiet(warmUp + requests);
  const cpuMs = processCpuMs(instance.pid) - cpuBefore;
  const { profile } = (await inspector.send("Profiler.stop")) as { profile: CpuProfile };
  inspector.close();
  if (values.out !== undefined) writeFileSync(values.out, JSON.stringify(profile));
  print(costsOf(profile, fileOf), cpuMs, wallMs);
} finally {
  load.close();
  await closeAll();
}

interface Profiled {
  instance: Instance;
  route: Route;
  stream: Stream;
  /** Not until it is idle: the profiler keeps the process busy. */
  quiet(sent: number): Promise<void>;
  fileOf: (frame: CallFrame) => string;
}

async function ours(inspectorPort: number): Promise<Profiled> {
  const stateDir = await freshState("profile");
  // Migrates and seeds; the inspected instance goes on with the same state.
  await (await startProduct(stateDir)).close();
  const instance = await startInstrumented(stateDir, { inspectorPort });
  const api = apiOf(instance);
  await publishPrices(api);
  const stream = newStream(kind, CUSTOMER, kind === "events" ? 100 : 1);
  await grant(api, CUSTOMER, GRANTED);
  return {
    instance,
    stream,
    route: kind === "read" ? { ...ROUTES.read, path: `/api/v1/wallets/${CUSTOMER}` } : ROUTES[kind],
    async quiet(sent) {
      const sums = { ...sumsOf(stream, 0, sent), granted: credits(GRANTED) };
      await landed(instance, { customer: CUSTOMER, sent: sums, metered: kind === "events" }, QUIET_LIMIT_MS);
    },
    fileOf: sourceFiles(instance.script),
  };
}

async function theirs(baseline: Baseline, inspectorPort: number): Promise<Profiled> {
  return {
    instance: await startBaseline(baseline, await freshState("profile"), inspectorPort),
    stream: newStream(kind, CUSTOMER, kind === "events" ? 100 : 1),
    route: { ...ROUTES[kind], path: `/${CUSTOMER}` },
    quiet: async () => undefined,
    fileOf: ({ url }) => url,
  };
}

function print(costs: Cost[], cpuMs: number, wallMs: number): void {
  const busyUs = costs.reduce((sum, { selfUs }) => sum + selfUs, 0);
  const events = kind === "events" ? " of 100 events" : "";
  console.log(
    `${kind}: ${requests} requests${events} in ${fixed(wallMs / 1_000, 1)} s; workerd used ${fixed((cpuMs * 1_000) / requests, 0)} µs CPU a request, ` +
      `the profiler's included; the isolate was busy for ${fixed(busyUs / requests, 0)} µs a request. Below, µs a request`,
  );
  const table = newTable(
    ["self µs", "share", "total µs", "function", "at"],
    ["right", "right", "right", "left", "left"],
  );
  for (const { name, at, selfUs, totalUs } of costs
    .toSorted((a, b) => b.selfUs - a.selfUs)
    .slice(0, Number(values.top))) {
    table.push([fixed(selfUs / requests, 1), percent(selfUs / busyUs), fixed(totalUs / requests, 1), name, at]);
  }
  console.log(table.toString());

  const files = Object.entries(Object.groupBy(costs, ({ at, name }) => (at === "" ? name : at.split(": ")[0]!)))
    .map(([file, all = []]): [string, number] => [file, all.reduce((sum, { selfUs }) => sum + selfUs, 0)])
    .toSorted(([, a], [, b]) => b - a)
    .slice(0, Number(values.top));
  const byFile = newTable(["self µs", "share", "file"], ["right", "right", "left"]);
  for (const [file, us] of files) byFile.push([fixed(us / requests, 1), percent(us / busyUs), file]);
  console.log(byFile.toString());
}

function percent(share: number): string {
  return `${fixed(share * 100, 1)} %`;
}

function newTable(head: string[], colAligns: ("left" | "right")[]) {
  return new Table({
    head,
    colAligns,
    style: { head: [], border: [] },
    chars: { mid: "", "left-mid": "", "mid-mid": "", "right-mid": "" },
  });
}

function costsOf({ nodes, samples, timeDeltas }: CpuProfile, fileOf: (frame: CallFrame) => string): Cost[] {
  const selfUs = new Map<number, number>();
  // Between samples further apart the thread did not run, or not our code: whoever came next is not to blame.
  for (const [index, id] of samples.entries())
    selfUs.set(id, (selfUs.get(id) ?? 0) + Math.min(timeDeltas[index]!, SAMPLE_US_MAX));
  const costs = new Map<string, Cost>();
  const byId = new Map(nodes.map((node) => [node.id, node]));
  // Totals from the leaves up; a function that calls itself is counted once, where it was first entered.
  const visit = (node: CpuProfile["nodes"][number], above: ReadonlySet<Cost>): number => {
    const { functionName, url } = node.callFrame;
    const name = functionName || "(anonymous)";
    const at = url === "" ? "" : fileOf(node.callFrame);
    const key = `${name}\0${at}`;
    const cost = costs.get(key) ?? { name, at, selfUs: 0, totalUs: 0 };
    costs.set(key, cost);
    const self = selfUs.get(node.id) ?? 0;
    const below = new Set(above).add(cost);
    const total = (node.children ?? []).reduce((sum, id) => sum + visit(byId.get(id)!, below), self);
    cost.selfUs += self;
    if (!above.has(cost)) cost.totalUs += total;
    return total;
  };
  visit(nodes[0]!, new Set());
  return [...costs.values()].filter(({ name }) => name !== "(idle)" && name !== "(root)");
}

/** The source file of a place in the bundle, whose name esbuild writes before each, and the bundle's line. */
function sourceFiles(script: string): (frame: CallFrame) => string {
  const lines = script.split("\n");
  let file = "";
  const files = lines.map((line) => (file = /^\/\/ ((?:[\w@.-]+\/)*[\w.-]+\.[cm]?[jt]s)$/.exec(line)?.[1] ?? file));
  return ({ url, functionName, lineNumber }) => {
    if (!url.endsWith("index.js")) return url;
    // A function without a name is told by how it begins.
    const text = functionName === "" ? `: ${lines[lineNumber]?.trim().slice(0, LINE_CHARS)}` : "";
    return `${files[lineNumber] ?? url}${text}`;
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
