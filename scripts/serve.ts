/** `npm start`: Tollgate on this machine. PORT, HOST, TOLLGATE_STATE, DATABASE_URL and TOLLGATE_ADMIN_KEY are read from the environment. */
import { LOCAL_ADMIN_KEY, LOCAL_KEY, StartRefused, startLocal } from "./local";

const { PORT = "8787", HOST, TOLLGATE_STATE, DATABASE_URL, TOLLGATE_ADMIN_KEY } = process.env;

try {
  const port = Number(PORT);
  if (!Number.isInteger(port) || port < 0 || port > 65_535) throw new StartRefused(`PORT is "${PORT}", not a port.`);
  const local = await startLocal({
    port,
    ...(HOST ? { host: HOST } : {}),
    ...(TOLLGATE_STATE ? { stateDir: TOLLGATE_STATE } : {}),
    ...(DATABASE_URL ? { databaseUrl: DATABASE_URL } : {}),
    ...(TOLLGATE_ADMIN_KEY ? { adminKey: TOLLGATE_ADMIN_KEY } : {}),
  });

  const stop = (signal: NodeJS.Signals) => {
    // A second signal ends it at once: what was acknowledged is on disk either way.
    process.once(signal, () => process.exit(1));
    void local.close().then(() => process.exit(0));
  };
  // miniflare's own handlers would exit in the middle of close().
  for (const signal of ["SIGINT", "SIGTERM"]) process.removeAllListeners(signal);
  process.once("SIGINT", stop);
  process.once("SIGTERM", stop);

  const address = `http://localhost:${local.url.port}`;
  console.log(`
  Tollgate is ready at ${address} · API docs at ${address}/docs
  namespace default · key ${LOCAL_KEY} · operator key ${LOCAL_ADMIN_KEY} · state in ${TOLLGATE_STATE || ".tollgate/"} · Ctrl-C stops it

  In another terminal, 28,185 requests of a real LLM service, debited to the last digit:

  npm run demo

  or record something of your own:

  curl ${address}/api/v1/track -H "authorization: Bearer ${LOCAL_KEY}" -H "content-type: application/json" \\
    -d '{"customer":"user_123","feature":"gpt-4-completion","usage":{"inputTokens":1200,"outputTokens":350}}'
`);
} catch (error) {
  if (!(error instanceof StartRefused)) throw error;
  console.error(error.message);
  process.exitCode = 1;
}
