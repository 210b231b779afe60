/** Runs at the end of `npm ci`: derives what the first `npm start` needs, which would otherwise take it a second longer. */
import "miniflare"; // compiled once here, and kept (typescript.mjs)
import { buildDocsUi } from "./docs-ui";
import { readWorkerOptions } from "./worker-options";

await Promise.all([buildDocsUi(), readWorkerOptions()]);
