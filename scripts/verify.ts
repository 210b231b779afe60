/**
 * `npm run verify`: does every customer's log agree with the store's rollups and with the archive? Prints a table and every difference; exit
 * code 1 when there is one. TOLLGATE_URL and TOLLGATE_KEY (scopes admin and read) name the server and the namespace; by default the local one.
 */
import { LOCAL_KEY } from "./local";
import { Server, Stop } from "./reconcile";
import { progressBar } from "./reconcile-report";
import { printFindings, verify } from "./reconcile-verify";

const server = new Server(process.env.TOLLGATE_URL ?? "http://localhost:8787", process.env.TOLLGATE_KEY ?? LOCAL_KEY);
const bar = progressBar();
try {
  const findings = await verify(server, bar.steps);
  bar.stop();
  process.exitCode = printFindings(findings) ? 0 : 1;
} catch (error) {
  bar.stop();
  if (!(error instanceof Stop)) throw error;
  console.error(error.message);
  process.exitCode = 2;
}
