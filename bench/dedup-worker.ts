/** The dedup index alone in an object of its own: more keys than there is time to send events. Driven by dedup.ts. */
import { DurableObject } from "cloudflare:workers";
// This Worker is the index and nothing else of the product, which HTTP cannot reach.
// oxlint-disable-next-line no-restricted-imports
import { DedupIndex } from "../durable-objects/dedup-index";
// oxlint-disable-next-line no-restricted-imports
import { DEDUP_TABLES } from "../durable-objects/run-store";

interface DedupEnv {
  OBJECT: DurableObjectNamespace<DedupObject>;
}

export interface DedupState {
  keys: number;
  bytes: number;
  found: boolean;
}

/** As many events as a batch of the API may bring at once, so runs grow as they do there. */
const KEYS_PER_ENTRY = 1_000;

/** As long as an SDK's: a source and a UUID. */
const keyOf = (seq: number, index: number): string =>
  `sdk\0${String(seq).padStart(8, "0")}-5f1b-4c1e-9b7a-${String(index).padStart(12, "0")}`;

export class DedupObject extends DurableObject<DedupEnv> {
  private readonly index = new DedupIndex(this.ctx.storage.sql, (work) => this.ctx.storage.transactionSync(work));

  /** Adds the keys of log entries [from, to) and does all the background work that they make due. */
  fill(from: number, to: number): void {
    if (from === 1) this.ctx.storage.sql.exec(DEDUP_TABLES);
    for (let seq = from; seq < to; seq++) {
      for (let index = 0; index < KEYS_PER_ENTRY; index++) this.index.add(keyOf(seq, index), seq, index);
      while (this.index.flushStep().more);
    }
  }

  /** Looks for one key that is there and one that is not; reads what memory has forgotten. */
  state(seq: number): DedupState {
    const found = this.index.find(keyOf(seq, 0)) !== null && this.index.find("nobody's") === null;
    return { keys: this.index.keys, bytes: this.index.memoryBytes, found };
  }
}

export default {
  async fetch(request, env) {
    const { pathname, searchParams } = new URL(request.url);
    const object = env.OBJECT.getByName(searchParams.get("object") ?? "");
    const from = Number(searchParams.get("from"));
    if (pathname === "/state") return Response.json(await object.state(from));
    await object.fill(from, Number(searchParams.get("to")));
    return new Response(null, { status: 204 });
  },
} satisfies ExportedHandler<DedupEnv>;
