/**
 * The load generator's own process, so that its CPU is not the subject's and can be told. One request under way per connection,
 * keep-alive, no pipelining, no HTTP library: a slow client would push every ratio towards 1. Started by load.ts.
 */
import { connect, type Socket } from "node:net";
import { bodyOf } from "./bodies";
import type { LoadPlan, LoadReply, LoadResult } from "./load";

/** Bodies are made before the clock starts unless they would fill the memory; then each is made when it is sent. */
const PREPARED_BYTES_MAX = 256_000_000;
const HEADER_END = Buffer.from("\r\n\r\n");
const LAST_CHUNK = Buffer.from("0\r\n\r\n");
const ERROR_CHARS = 300;

process.on("message", (plan: LoadPlan) => {
  const answer = (reply: LoadReply) => process.send!(reply);
  run(plan).then(
    (result) => answer({ result }),
    (error: Error) => answer({ error: error.message }),
  );
});
process.on("disconnect", () => process.exit(0));

async function run(plan: LoadPlan): Promise<LoadResult> {
  const { count, connections } = plan;
  const requests = prepare(plan);
  const sockets = await Promise.all(Array.from({ length: Math.min(connections, count) }, () => open(plan)));
  const latenciesMs = new Float64Array(count);
  let next = 0;
  const deadline = setTimeout(() => {
    for (const socket of sockets) socket.destroy(new Error(`not done after ${plan.limitMs} ms`));
  }, plan.limitMs);
  const cpuBefore = process.cpuUsage();
  const startMs = performance.now();
  try {
    await Promise.all(
      sockets.map(async (socket) => {
        const exchange = exchanges(socket);
        while (next < count) {
          const request = next++;
          const sentMs = performance.now();
          await exchange(requests(request));
          latenciesMs[request] = performance.now() - sentMs;
        }
      }),
    );
  } finally {
    clearTimeout(deadline);
    for (const socket of sockets) socket.destroy();
  }
  const wallMs = performance.now() - startMs;
  const { user, system } = process.cpuUsage(cpuBefore);
  latenciesMs.sort();
  const quantile = (q: number) => latenciesMs[Math.min(count - 1, Math.floor(count * q))]!;
  return {
    count,
    wallMs,
    clientCpuMs: (user + system) / 1_000,
    p50Ms: quantile(0.5),
    p99Ms: quantile(0.99),
    maxMs: quantile(1),
  };
}

function prepare(plan: LoadPlan): (request: number) => Buffer {
  const make = (request: number) => encode(plan, request);
  if (make(0).length * plan.count > PREPARED_BYTES_MAX) return make;
  const prepared = Array.from({ length: plan.count }, (_, request) => make(request));
  return (request) => prepared[request]!;
}

function encode({ method, path, headers, port, stream, offset }: LoadPlan, request: number): Buffer {
  const head = [
    `${method} ${path} HTTP/1.1`,
    `host: 127.0.0.1:${port}`,
    ...Object.entries(headers).map(([name, value]) => `${name}: ${value}`),
  ];
  if (stream.kind === "read") return Buffer.from(`${head.join("\r\n")}\r\n\r\n`);
  const body = bodyOf(stream, offset + request);
  return Buffer.from(`${head.join("\r\n")}\r\ncontent-length: ${Buffer.byteLength(body)}\r\n\r\n${body}`);
}

const open = ({ port }: LoadPlan): Promise<Socket> =>
  new Promise((resolve, reject) => {
    const socket = connect({ port, host: "127.0.0.1", noDelay: true }, () => {
      socket.off("error", reject);
      resolve(socket);
    }).once("error", reject);
  });

/** Sends a request and waits for the whole answer; throws on anything but a 2xx. */
function exchanges(socket: Socket): (request: Buffer) => Promise<void> {
  let received: Buffer = Buffer.alloc(0);
  let done: (() => void) | null = null;
  let failed: ((error: Error) => void) | null = null;
  const fail = (error: Error) => failed?.(error);
  socket.on("error", fail);
  socket.on("close", () => fail(new Error("the server closed the connection")));
  socket.on("data", (chunk) => {
    received = received.length === 0 ? chunk : Buffer.concat([received, chunk]);
    if (!isWhole(received)) return;
    const answer = received;
    received = Buffer.alloc(0);
    // "HTTP/1.1 2": the status class is the tenth character.
    if (answer[9] === 0x32) done?.();
    else fail(new Error(`the server answered ${answer.toString("utf8", 0, ERROR_CHARS)}`));
  });
  return (request) =>
    new Promise((resolve, reject) => {
      done = resolve;
      failed = reject;
      socket.write(request);
    });
}

/** With one request under way, what has arrived is the beginning of exactly one answer. */
function isWhole(received: Buffer): boolean {
  const headEnd = received.indexOf(HEADER_END);
  if (headEnd < 0) return false;
  const head = received.toString("latin1", 0, headEnd).toLowerCase();
  const bodyStart = headEnd + HEADER_END.length;
  const length = /\r\ncontent-length: *(\d+)/.exec(head)?.[1];
  if (length !== undefined) return received.length >= bodyStart + Number(length);
  if (head.includes("\r\ntransfer-encoding: chunked"))
    return received.subarray(-LAST_CHUNK.length).equals(LAST_CHUNK) && received.length > bodyStart;
  return true; // 204
}
