/**
 * One real Tollgate for the whole suite: `npm start` without its printing, on a free port and with state of its own.
 * The test files find its address in vitest's `inject("tollgateUrl")`; each of them opens a namespace there.
 */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TestProject } from "vitest/node";
import { startLocal } from "../../scripts/local";

declare module "vitest" {
  interface ProvidedContext {
    tollgateUrl: string;
  }
}

export async function setup(project: TestProject): Promise<() => Promise<void>> {
  const stateDir = await mkdtemp(join(tmpdir(), "tollgate-openmeter-"));
  const local = await startLocal({
    port: 0,
    stateDir,
    onLog: ({ level, message }) => {
      if (level === "error" || level === "warn") console.error(message);
    },
  });
  project.provide("tollgateUrl", local.url.origin);
  return async () => {
    await local.close();
    await rm(stateDir, { recursive: true, force: true });
  };
}
