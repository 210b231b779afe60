/** What anybody may read: health, the contract, and the page to browse it. Everything the page needs is here, for offline use. */
import css from "../../../dist/docs/swagger-ui.css.gz.bin";
import script from "../../../dist/docs/swagger-ui-bundle.js.gz.bin";
import { contract } from "../../../schema/contract";
import { system } from "../../../schema/contract/system";
import { findNamespace } from "../../../store/namespaces";
import type { Context } from "../../context";
import { implement } from "../app";
import { openApi } from "../openapi";
import { notFound, tryAgain } from "../problem";
import { LOCAL_NAMESPACE } from "./local";

const FILES: Record<string, { gzipped: ArrayBuffer; type: string }> = {
  "swagger-ui.css": { gzipped: css, type: "text/css" },
  "swagger-ui-bundle.js": { gzipped: script, type: "text/javascript" },
};

const PAGE = `<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1"><meta name="color-scheme" content="light dark">
<title>Tollgate API</title><link rel="icon" href="data:,"><link rel="stylesheet" href="/docs/swagger-ui.css">
<style>body { margin: 0 }</style>
<script>
const dark = matchMedia("(prefers-color-scheme: dark)"), show = () => document.documentElement.classList.toggle("dark-mode", dark.matches)
dark.addEventListener("change", show), show()
</script></head>
<body><div id="ui"></div><script src="/docs/swagger-ui-bundle.js"></script>
<script>SwaggerUIBundle({ url: "/openapi.json", dom_id: "#ui", deepLinking: true, persistAuthorization: false })</script></body>
</html>
`;

/** Files change with a deployment only, and their names do not. */
const CACHED = "public, max-age=3600";

const document = openApi(contract);

/** The database answers and is migrated; under the launcher also seeded, so that its key works. */
async function isReady({ env, store }: Context): Promise<boolean> {
  try {
    const namespace = await findNamespace(store, LOCAL_NAMESPACE);
    return namespace !== null || env.TOLLGATE_LOCAL !== "1";
  } catch {
    return false;
  }
}

export const systemRoutes = implement<typeof system>(system, {
  async health({ context }) {
    if (!(await isReady(context))) throw tryAgain("the database is not ready");
    return { status: 200, body: { status: "ok" } };
  },

  openapi: () =>
    new Response(document(), { headers: { "content-type": "application/json", "access-control-allow-origin": "*" } }),

  docs: () => new Response(PAGE, { headers: { "content-type": "text/html; charset=utf-8" } }),

  docsFile({ params, request }) {
    const file = Object.hasOwn(FILES, params.file) ? FILES[params.file] : undefined;
    if (file === undefined) throw notFound("this file");
    const headers = { "content-type": file.type, "cache-control": CACHED, vary: "accept-encoding" };
    if (/\bgzip\b/.test(request.headers.get("accept-encoding") ?? "")) {
      return new Response(file.gzipped, { headers: { ...headers, "content-encoding": "gzip" }, encodeBody: "manual" });
    }
    return new Response(new Response(file.gzipped).body!.pipeThrough(new DecompressionStream("gzip")), { headers });
  },
});
