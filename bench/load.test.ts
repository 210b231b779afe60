import { createServer, type RequestListener, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { afterEach, describe, expect, it } from "vitest";
import type { Stream } from "./bodies";
import { startLoad, type Load, type LoadPlan } from "./load";

const stream: Stream = { kind: "track", customer: "c", run: "r", batch: 1, fromMs: 0, spanMs: 1, cycle: 1 };
let server: Server;
let load: Load;

async function answeredBy(listener: RequestListener, changes: Partial<LoadPlan> = {}) {
  server = createServer(listener);
  await new Promise<void>((listening) => void server.listen(0, "127.0.0.1", listening));
  load = startLoad();
  const { port } = server.address() as AddressInfo;
  return load.send({
    port,
    method: "POST",
    path: "/",
    headers: {},
    stream,
    offset: 10,
    count: 40,
    connections: 4,
    limitMs: 10_000,
    ...changes,
  });
}

afterEach(() => {
  load.close();
  server.closeAllConnections();
  server.close();
});

describe("the load generator", () => {
  it("sends every request once, one at a time per connection, whatever the answers are framed like", async () => {
    const ids: string[] = [];
    const connections = new Set<unknown>();
    const result = await answeredBy((request, response) => {
      connections.add(request.socket);
      let body = "";
      request.on("data", (chunk: Buffer) => (body += chunk.toString()));
      request.on("end", () => {
        ids.push((JSON.parse(body) as { id: string }).id);
        if (ids.length % 3 === 0) return void response.writeHead(204).end();
        // Without a length Node sends chunks.
        if (ids.length % 3 === 1) response.write("part one, ");
        response.end("and the rest");
      });
    });
    expect(result.count).toBe(40);
    expect(ids.toSorted()).toEqual(Array.from({ length: 40 }, (_, request) => `r-${10 + request}`).toSorted());
    expect(connections.size).toBe(4);
    expect(result.p50Ms).toBeLessThanOrEqual(result.p99Ms);
  });

  it("fails on an answer that is not a success, and says which", async () => {
    await expect(
      answeredBy(
        (request, response) => void request.resume().on("end", () => response.writeHead(402).end("no credits")),
      ),
    ).rejects.toThrow(/402[^]*no credits/);
  });

  it("gives up when the time is over", async () => {
    await expect(answeredBy((request) => void request.resume(), { limitMs: 200 })).rejects.toThrow(
      "not done after 200 ms",
    );
  });
});
