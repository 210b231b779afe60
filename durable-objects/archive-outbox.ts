/**
 * Ships what the log holds to the archive, behind a position that moves only after the queue has taken it: a crash sends some of it
 * again, and never leaves any out. What is sent is the log as it lies there, neither read nor deflated again, so it costs next to nothing
 * here; the consumer (workers/queue/archive.ts) makes lines of it. Knows when enough has gathered; not what is in an entry.
 */
import type { Account } from "../core/account";
import { parseExact } from "../core/exact-json";
import { decodeEntry, type Identity } from "../core/log-entry";
import { encodeArchiveMessage, MESSAGE_BYTES_MAX, messageBytes, type ArchiveHeader } from "../schema/messages";
import type { Log, StoredBlock } from "./log";
import { LOG_LIMITS, PageBuilder } from "./log-format";
import type { State } from "./state";

/** Sent when so many events wait … */
const GATHERED_EVENTS = 500;
/** … or so long after the last time. A customer's only event of a minute goes at once, and needs no alarm of its own. */
const GATHERED_MS = 5_000;
/** Of one message: a file's worth of its day, and few enough for the consumer when each is of another day. */
const EVENTS_PER_MESSAGE_MAX = 1_000;
/** Of a message's page. Plain entries are deflated on the way in, so it is an estimate below what the queue takes. */
const PAGE_BYTES_MAX = 80_000;
/** JSON deflates to a sixth, or to this where it is mostly random. */
const SHRINKS_BY = 2;
/** A backlog writes its position down after so many messages, so that a crash does not send all of it again. */
const MESSAGES_PER_POSITION = 16;

/** What ships: the queue, and R2 for what is too large for it. */
export interface ArchiveRoad {
  ARCHIVING: Queue;
  ARCHIVE: R2Bucket;
}

interface Shipment {
  header: ArchiveHeader;
  body: Uint8Array;
}

export class ArchiveOutbox {
  /** The last log entry that the queue has; null: not read yet. */
  private position: number | null = null;
  /** Of the log, whatever epochs its totals have had since. */
  private epoch: string | null = null;
  /** When this instance sent last, and how many events the account had; null: never. */
  private sentAt: number | null = null;
  private sentEvents = 0;

  constructor(
    private readonly log: Log,
    private readonly state: State,
  ) {}

  get archivedSeq(): number {
    return (this.position ??= Number(this.state.read("archived") ?? "0"));
  }

  /** Behind this log entry everything is shipped again. For what the queue lost; whoever has it already does not mind. */
  rewind(to: number): void {
    if (to >= this.archivedSeq) return;
    this.position = to;
    this.state.write("archived", String(to));
    this.sentAt = null;
  }

  /** When to ship next; null: all of it is shipped. */
  dueAt({ seq, events }: Account, now: number): number | null {
    if (seq === this.archivedSeq) return null;
    if (this.sentAt === null || events - this.sentEvents >= GATHERED_EVENTS) return now;
    return this.sentAt + GATHERED_MS;
  }

  /** Sends what the log holds as of now. What calls add meanwhile is the next alarm's. */
  async ship(account: Account, identity: Identity, road: ArchiveRoad, now: () => number): Promise<void> {
    const { seq, events } = account;
    for (let sent = 1; this.archivedSeq < seq; sent++) {
      const shipment = this.next(account, identity, seq);
      await send(shipment, road);
      this.position = shipment.header.to;
      if (this.position >= seq || sent % MESSAGES_PER_POSITION === 0)
        this.state.write("archived", String(this.position));
    }
    this.sentAt = now();
    this.sentEvents = events;
  }

  /** As many whole entries behind the position as one message takes; a larger one goes alone. */
  private next(
    { declared }: Account,
    { namespaceId, object, customerId, key, createdAt }: Identity,
    until: number,
  ): Shipment {
    const from = this.archivedSeq + 1;
    const page = new PageBuilder(LOG_LIMITS);
    let to = from - 1;
    let bytes = 0;
    let events = 0;
    for (const block of this.log.stored(from)) {
      const size = typeof block.body === "string" ? block.body.length / SHRINKS_BY : block.body.length;
      if (to >= from && (bytes + size > PAGE_BYTES_MAX || events + block.events > EVENTS_PER_MESSAGE_MAX)) break;
      add(page, block);
      to = block.last;
      bytes += size;
      events += block.events;
      if (to >= until) break;
    }
    const { directory, body } = page.finish();
    const customer = { id: customerId, key, createdAt, declared };
    return { header: { v: 1, namespaceId, object, epoch: this.logEpoch(), customer, from, to, directory }, body };
  }

  private logEpoch(): string {
    return (this.epoch ??= decodeEntry(this.log.read(1)!.json, parseExact).identity!.epoch);
  }
}

function add(page: PageBuilder, { body, first, last, journal, events }: StoredBlock): void {
  if (typeof body === "string") page.addEntry({ seq: first, journal, events, body });
  else page.addBlock({ first, last, journal, events, bytes: body.length }, body);
}

const NONE = new Uint8Array();

/** A page that no message carries waits in R2, under a name that is the same when it is sent again. */
async function send({ header, body }: Shipment, { ARCHIVING, ARCHIVE }: ArchiveRoad): Promise<void> {
  const { object, epoch, from, to } = header;
  if (messageBytes(header) + 1 + body.length <= MESSAGE_BYTES_MAX) {
    await ARCHIVING.send(encodeArchiveMessage({ header, body }), { contentType: "bytes" });
    return;
  }
  const page = `shipping/${object}/${epoch}/${from}-${to}`;
  await ARCHIVE.put(page, body);
  await ARCHIVING.send(encodeArchiveMessage({ header: { ...header, page }, body: NONE }), { contentType: "bytes" });
}
