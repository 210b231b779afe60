/**
 * `npm run demo`, beside a running `npm start`: 28,185 requests of two production LLM services are metered, priced and
 * debited through the SDK, and the result is checked to the last digit. Every id is fixed, so a second run (or one after a
 * Ctrl-C) changes nothing that was done before. TOLLGATE_URL and TOLLGATE_KEY point it at another server.
 */
import { decimal, formatDecimal } from "../core/decimal";
import { BASE_URL_DEFAULT, NotFoundError, Tollgate, TollgateError, type Runtime } from "../sdk/index";
import { CUSTOMERS, readTrace, type Customer, type LlmRequest } from "./azure-trace/read";
import { grouped, latencyMs, percentile, progress, table } from "./azure-trace/report";

const baseUrl = process.env.TOLLGATE_URL ?? BASE_URL_DEFAULT;
const apiKey = process.env.TOLLGATE_KEY ?? "tg_local";

const CURRENCY = "USD";
const TABLE = "azure-demo";
/** USD per million tokens. */
const PRICES = { inputTokens: "2.50", outputTokens: "10.00" };
const PER = "1000000";
/** Before the trace, which is of November 2023: usage is priced at the time of the event. */
const PRICED_FROM = "2023-01-01T00:00:00Z";
const CREDITS = "100";
/** Counted from the trace and multiplied by hand. */
const EXPECTED: Record<Customer, string> = { code: "47.608895", conv: "96.791325" };

/** Sent one by one, as a service would that asks after each request; the rest goes in batches, as a gateway would. */
const SINGLES = 2_000;
const SINGLE_CONNECTIONS = 16;
const BATCH = { maxEvents: 500, maxBuffered: 4_000, concurrency: 4 };
/** As long as an isolate of a live deployment may use an older configuration. */
const CONFIG_AGE_MS_MAX = 35_000;

/** What the person who runs this can act on. */
class Stop extends Error {}

const latencies: { track: number[]; events: number[] } = { track: [], events: [] };
const timedFetch: Runtime["fetch"] = async (url, init) => {
  const startedMs = performance.now();
  const response = await fetch(url, init);
  const road = url.endsWith("/track") ? latencies.track : url.endsWith("/events") ? latencies.events : null;
  road?.push(performance.now() - startedMs);
  return response;
};

const tg = new Tollgate({ apiKey, baseUrl, fetch: timedFetch });

/** The burn table of this demo, made when it is not there yet. */
async function ensureTable(): Promise<number> {
  const rules = Object.entries(PRICES).map(([dimension, rate]) => ({ dimension, rate, per: PER }));
  const found = await tg.burnTables.get(TABLE).catch((error: unknown) => {
    if (error instanceof NotFoundError) return null;
    throw error;
  });
  if (found === null) {
    const made = { key: TABLE, currency: CURRENCY, effectiveFrom: PRICED_FROM, rules, default: false };
    return (await tg.burnTables.create(made)).version;
  }
  const same = rules.every(({ dimension, rate, per }) =>
    found.rules.some(
      (rule) =>
        rule.dimension === dimension && decimal(rule.rate) === decimal(rate) && decimal(rule.per) === decimal(per),
    ),
  );
  if (!same || found.rules.length !== rules.length) {
    throw new Stop(
      `The burn table ${TABLE} has other prices than this demo. Start the server on a fresh TOLLGATE_STATE.`,
    );
  }
  return found.version;
}

/** Gives the customer its currency, its prices and its credits, and waits until its object knows them. */
async function prepare(customer: Customer): Promise<void> {
  const deadlineMs = Date.now() + CONFIG_AGE_MS_MAX;
  for (;;) {
    try {
      await tg.wallets.update(customer, { currency: CURRENCY, burnTable: TABLE });
      const usage = { inputTokens: 1_000_000, outputTokens: 1_000_000 };
      const quote = await tg.quote({ customer, feature: "completion", usage, time: PRICED_FROM });
      if (quote.amount === "12.5") break;
      throw new Stop(`A million tokens of each kind are quoted at ${quote.amount} ${CURRENCY}, not at 12.5.`);
    } catch (error) {
      const isNew = error instanceof TollgateError && error.status === 422 && error.code !== "currency-mismatch";
      if (!isNew || Date.now() > deadlineMs) throw error;
      await new Promise((resolve) => setTimeout(resolve, 1_000));
    }
  }
  await tg.wallets.grant(customer, { id: `${TABLE}-credits`, amount: CREDITS, kind: "paid", reason: "demo credits" });
}

/** Both traces as one stream in the order of time, as one gateway would have seen them. */
function requests(): LlmRequest[] {
  return CUSTOMERS.flatMap((customer) => [...readTrace(customer)]).sort((a, b) =>
    a.time < b.time ? -1 : a.time > b.time ? 1 : 0,
  );
}

const factOf = ({ customer, index, time, inputTokens, outputTokens }: LlmRequest) => ({
  userId: customer,
  feature: "completion",
  usage: { inputTokens, outputTokens },
  source: "azure-llm-trace-2023",
  id: `${customer}/${index}`,
  time,
});

/** Sends everything by both roads; resolves when all of it is acknowledged, which means durable and debited. */
async function send(all: LlmRequest[]): Promise<{ singlesMs: number; batchesMs: number }> {
  const bar = progress(all.length);
  try {
    const startedMs = performance.now();
    const singles = all.slice(0, SINGLES);
    let next = 0;
    let done = 0;
    const connection = async () => {
      for (let request = singles[next++]; request !== undefined; request = singles[next++]) {
        await tg.track(factOf(request));
        bar.set(++done);
      }
    };
    await Promise.all(Array.from({ length: SINGLE_CONNECTIONS }, connection));
    const singlesMs = performance.now() - startedMs;

    const batch = tg.batch(BATCH);
    for (const [index, request] of all.slice(SINGLES).entries()) {
      await batch.track(factOf(request));
      bar.set(singles.length + index + 1 - batch.size);
    }
    await batch.close();
    bar.set(all.length);
    return { singlesMs, batchesMs: performance.now() - startedMs - singlesMs };
  } finally {
    bar.stop();
  }
}

/** What the server says about a customer, in exact decimals. */
async function account(customer: Customer) {
  const wallet = await tg.wallets.get(customer);
  const journal = await tg.wallets.verify(customer);
  let granted = 0n;
  let grants = 0;
  for await (const grant of tg.wallets.grants(customer)) {
    granted += decimal(grant.amount);
    grants++;
  }
  const { balance } = wallet.exact;
  return {
    wallet,
    journal,
    balance,
    cost: formatDecimal(granted - decimal(balance)),
    debits: journal.entries - grants,
  };
}
type Account = Awaited<ReturnType<typeof account>>;

const both = async <T>(ask: (customer: Customer) => Promise<T>): Promise<Record<Customer, T>> => {
  const [code, conv] = await Promise.all([ask("code"), ask("conv")]);
  return { code, conv };
};

/** Prints each claim with whether it holds; true when all do. */
function verdict(all: LlmRequest[], before: Record<Customer, Account>, after: Record<Customer, Account>): boolean {
  const claims: [boolean, string][] = [];
  for (const customer of CUSTOMERS) {
    const { cost, journal, debits, wallet, balance } = after[customer];
    const events = all.filter((request) => request.customer === customer).length;
    const expected = EXPECTED[customer];
    claims.push([
      cost === expected,
      `${customer} cost exactly ${expected} ${CURRENCY}${cost === expected ? "" : `: it is ${cost}`}`,
    ]);
    claims.push([
      journal.valid && journal.balance === balance && debits === events && wallet.unrated === 0,
      `${customer}'s journal verifies: ${grouped(journal.entries)} hash-chained entries, one debit per event, sum ${journal.balance}`,
    ]);
  }
  const recorded = CUSTOMERS.reduce((sum, customer) => sum + after[customer].debits - before[customer].debits, 0);
  const known = all.length - recorded;
  console.log();
  for (const [holds, claim] of claims) console.log(`  ${holds ? "✓" : "✗"} ${claim}`);
  console.log(
    `  ${recorded === 0 ? "✓ nothing changed" : `✓ ${grouped(recorded)} events recorded`}, ${grouped(known)} duplicates`,
  );
  return claims.every(([holds]) => holds);
}

async function main(): Promise<void> {
  await fetch(`${baseUrl}/healthz`).catch(() => {
    throw new Stop(`Nothing answers at ${baseUrl}. Start the server in another terminal: npm start`);
  });
  const all = requests();
  const version = await ensureTable();
  await both(prepare);
  const before = await both(account);
  console.log(`
  ${grouped(all.length)} requests to two production LLM services (Azure, 2023-11-16; Patel et al., ISCA 2024), for the customers
  code and conv, at ${baseUrl}: ${PRICES.inputTokens} ${CURRENCY} per million prompt tokens, ${PRICES.outputTokens} per million generated (${TABLE} v${version})
`);
  const { singlesMs, batchesMs } = await send(all);
  const after = await both(account);

  const row = (name: string, requests: LlmRequest[], accounts: Account[]) => [
    name,
    grouped(requests.length),
    grouped(requests.reduce((sum, { inputTokens }) => sum + inputTokens, 0)),
    grouped(requests.reduce((sum, { outputTokens }) => sum + outputTokens, 0)),
    formatDecimal(accounts.reduce((sum, { cost }) => sum + decimal(cost), 0n)),
    formatDecimal(accounts.reduce((sum, { balance }) => sum + decimal(balance), 0n)),
  ];
  console.log(
    table(
      ["customer", "events", "prompt tokens", "generated tokens", `cost ${CURRENCY}`, `balance ${CURRENCY}`],
      CUSTOMERS.map((customer) =>
        row(
          customer,
          all.filter((one) => one.customer === customer),
          [after[customer]],
        ),
      ),
      row("both", all, [after.code, after.conv]),
    ),
  );
  const road = (name: string, events: number, ms: number, latency: number[]) => [
    name,
    grouped(events),
    grouped(latency.length),
    grouped(events / (ms / 1_000)),
    ...[0.5, 0.95, 0.99].map((share) => latencyMs(percentile(latency, share))),
  ];
  console.log(
    table(
      ["road, durable before the answer", "events", "calls", "events/s", "p50", "p95", "p99"],
      [
        road(`track, ${SINGLE_CONNECTIONS} connections`, SINGLES, singlesMs, latencies.track),
        road(`events, batches of ${BATCH.maxEvents}`, all.length - SINGLES, batchesMs, latencies.events),
      ],
    ),
  );
  if (verdict(all, before, after)) return;
  throw new Stop(
    `Not what the trace costs. If something else has used the customers ${CUSTOMERS.join(" and ")} of this server, start it on a fresh TOLLGATE_STATE.`,
  );
}

try {
  await main();
} catch (error) {
  process.exitCode = 1;
  if (error instanceof Stop) console.error(`\n  ${error.message}\n`);
  else if (error instanceof TollgateError && error.status === 0)
    console.error(
      `\n  ${error.detail}\n  Start the server again (npm start), then run the demo again: nothing is counted twice.\n`,
    );
  else if (error instanceof TollgateError)
    console.error(
      `\n  ${baseUrl} refused: ${error.detail} (${error.status} ${error.code}, request ${error.requestId})\n`,
    );
  else throw error;
}
