/**
 * OpenMeter's quickstart, pointed at Tollgate: its own client, unmodified; only the URL and the key are others.
 * Beside a running `npm start`: `node examples/openmeter-quickstart.ts` prints 1, and 1 again, because a repeated event is a repeat.
 * TOLLGATE_URL and TOLLGATE_KEY point it at another server.
 */
import { OpenMeter } from "@openmeter/sdk";

const openmeter = new OpenMeter({
  baseUrl: process.env.TOLLGATE_URL ?? "http://localhost:8787",
  apiKey: process.env.TOLLGATE_KEY ?? "tg_local",
});

const subject = "quickstart-typescript";
await openmeter.events.ingest({
  id: "quickstart-typescript-1",
  source: "quickstart",
  specversion: "1.0",
  type: "request",
  subject,
  data: { method: "GET", route: "/hello" },
});

// OpenMeter's quickstart asks up to ten times here, a second apart; an acknowledged event is counted.
const { data } = await openmeter.meters.query("api_requests_total", { subject: [subject] });
console.log(data[0]?.value);
