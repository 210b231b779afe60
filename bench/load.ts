/** Sends requests from a process of its own (load-process.ts): a bounded number over a bounded time, to this machine only. */
import { fork } from "node:child_process";
import { join } from "node:path";
import type { Stream } from "./bodies";

export interface LoadPlan {
  port: number;
  method: "GET" | "POST";
  path: string;
  headers: Record<string, string>;
  stream: Stream;
  /** Requests [offset, offset + count) of the stream. */
  offset: number;
  count: number;
  connections: number;
  /** Gives up after this long. */
  limitMs: number;
}

export interface LoadResult {
  count: number;
  wallMs: number;
  clientCpuMs: number;
  p50Ms: number;
  p99Ms: number;
  maxMs: number;
}

export type LoadReply = { result: LoadResult } | { error: string };

export interface Load {
  /** One at a time. Throws on the first answer that is not a 2xx. */
  send(plan: LoadPlan): Promise<LoadResult>;
  close(): void;
}

export function startLoad(): Load {
  const child = fork(join(import.meta.dirname, "load-process.ts"), {
    execArgv: ["--import", join(import.meta.dirname, "..", "scripts", "typescript.mjs")],
  });
  return {
    send: (plan) =>
      new Promise((resolve, reject) => {
        const died = (code: number | null) => reject(new Error(`the load process ended with ${code}`));
        child.once("exit", died);
        child.once("message", (reply: LoadReply) => {
          child.off("exit", died);
          if ("result" in reply) resolve(reply.result);
          else reject(new Error(`${plan.method} ${plan.path}: ${reply.error}`));
        });
        child.send(plan);
      }),
    close: () => void child.disconnect(),
  };
}
