/**
 * `npm run dead-letters`: lists the queue messages that could not be applied, with the reason. `npm run dead-letters -- replay`
 * applies all of them again, `-- replay <id>` one; harmless if it was applied before. TOLLGATE_URL and TOLLGATE_KEY (scope
 * admin) name the server; by default the local one.
 */
import { LOCAL_KEY } from "./local";

interface DeadLetter {
  id: string;
  queue: string;
  reason: string;
  createdAt: string;
  replayedAt: string | null;
}

interface Page {
  items: DeadLetter[];
  nextCursor?: string;
}

const baseUrl = process.env.TOLLGATE_URL ?? "http://localhost:8787";
const headers = { authorization: `Bearer ${process.env.TOLLGATE_KEY ?? LOCAL_KEY}` };
const [verb, id] = process.argv.slice(2);

if (verb !== undefined && verb !== "replay") {
  console.error("Usage: npm run dead-letters [-- replay [id]]");
  process.exit(2);
}

const waiting: DeadLetter[] = [];
let query: string | undefined = "";
while (query !== undefined) {
  const page: Page = await call("GET", query);
  waiting.push(...page.items.filter((letter) => letter.replayedAt === null));
  query = page.nextCursor && `?cursor=${encodeURIComponent(page.nextCursor)}`;
}
const chosen = id === undefined ? waiting : waiting.filter((letter) => letter.id === id);
if (id !== undefined && chosen.length === 0) console.log(`No dead letter ${id} is waiting.`);

let failed = 0;
for (const letter of chosen) {
  const about = `${letter.id}  ${letter.createdAt}  ${letter.queue}  ${letter.reason}`;
  if (verb === undefined) {
    console.log(about);
    continue;
  }
  try {
    await call("POST", `/${letter.id}/replay`);
    console.log(`replayed  ${about}`);
  } catch (error) {
    failed++;
    console.log(`failed    ${about}\n          ${(error as Error).message}`);
  }
}
if (id === undefined) console.log(`${waiting.length} waiting${verb === "replay" ? `, ${failed} failed again` : ""}`);
process.exitCode = failed === 0 ? 0 : 1;

async function call<T>(method: string, path: string): Promise<T> {
  const url = `${baseUrl}/api/v1/dead-letters${path}`;
  const response = await fetch(url, { method, headers }).catch(() => {
    console.error(`No Tollgate answers at ${baseUrl}. Start one with \`npm start\`, or set TOLLGATE_URL.`);
    process.exit(1);
  });
  const body = (await response.json()) as T & { detail?: string };
  if (!response.ok) throw new Error(`${method} ${url}: ${response.status} ${body.detail ?? ""}`);
  return body;
}
