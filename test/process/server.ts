/** `npm start` as a process group of its own, so that a test can end it as a power cut would. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { createServer, type AddressInfo } from "node:net";
import { join } from "node:path";

const ROOT = join(import.meta.dirname, "..", "..");
const HOOKS = join(ROOT, "scripts", "typescript.mjs");
/** What `npm start` prints last. */
const READY = "curl ";

export interface Server {
  url: string;
  /** Kill −9 of the launcher and of workerd, in the middle of whatever they do. */
  kill(): Promise<void>;
}

export async function serve(stateDir: string): Promise<Server> {
  const port = await freePort();
  const env = { ...process.env, PORT: String(port), TOLLGATE_STATE: stateDir, NODE_OPTIONS: "" };
  const child = spawn(process.execPath, ["--import", HOOKS, join(ROOT, "scripts", "serve.ts")], {
    env,
    detached: true,
  });
  const closed = once(child, "close");
  let output = "";
  const ready = new Promise<void>((done) => {
    for (const stream of [child.stdout, child.stderr]) {
      stream.on("data", (chunk: Buffer) => {
        output += chunk.toString();
        if (output.includes(READY)) done();
      });
    }
  });
  await Promise.race([ready, closed]);
  if (child.exitCode !== null || child.pid === undefined) throw new Error(`npm start ended: ${output}`);
  const group = -child.pid;
  return {
    url: `http://127.0.0.1:${port}`,
    async kill() {
      process.kill(group, "SIGKILL");
      await closed;
    },
  };
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, "close");
  return port;
}
