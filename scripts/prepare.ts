/** Runs at the end of `npm ci`: derives what the first `npm start` needs, which would otherwise take it a second longer. */
import "miniflare"; // compiled once here, and kept (typescript.mjs)
import { bundleMigrator, bundleWorker } from "./bundle";
import { readWorkerOptions } from "./worker-options";

await Promise.all([readWorkerOptions(), bundleWorker(), bundleMigrator()]);
