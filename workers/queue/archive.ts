/**
 * Accepted events from the objects' logs into files in R2 (docs/archive.md), and then into the archive's index. Filing a message twice
 * writes the same file, or the same lines into another one, and readers count a line once: so a failed batch is simply tried again.
 */
import { amendingLine, correctionLine, entryLines, type Line, type LineSource } from "../../core/archive-line";
import { formatInstant } from "../../core/instant";
import { decodeBlock, decodeBody, decodeDirectory, type StoredEntry } from "../../durable-objects/log-format";
import type { Call } from "../../durable-objects/rpc";
import { decodeArchiveMessage, type ArchiveHeader, type ArchiveMessage } from "../../schema/messages";
import {
  recordArchive,
  recordedFiles,
  type ArchivedObject,
  type ArchiveFile,
  type ArchivePart,
} from "../../store/archive";
import { recordDeadLetters } from "../../store/dead-letters";
import { encodeFile, indexKey } from "../archive/file";
import { Filing, type Filed } from "../archive/filing";
import { atOnce } from "../at-once";
import { causeOf, type Context } from "../context";
import { deadLetter, retryDelaySeconds } from "./dead-letter";

/** Lines in memory, in characters: with their compressed copy well below what an isolate has. */
const LINES_CHARS_MAX = 16_000_000;
/** Files gathered before they are written. */
const FILES_GATHERED_MAX = 200;
/** Files that one batch writes, at two calls each of the thousand it surely has: a backfill over more days goes on with its next delivery. */
const FILES_PER_BATCH_MAX = 400;
/** Uploads at the same time: a Worker holds six connections. */
const UPLOADS_AT_ONCE = 6;
/** Below the 100 after which the platform gives up without a reason: about three days. */
export const ARCHIVE_ATTEMPTS_MAX = 80;

interface Taken {
  message: Message;
  header: ArchiveHeader;
}

/** What one invocation may still do. */
interface Budget {
  files: number;
}

export async function consumeArchive(batch: MessageBatch, context: Context): Promise<void> {
  const budget: Budget = { files: FILES_PER_BATCH_MAX };
  let filing = new Filing();
  let taken: Taken[] = [];
  const flush = async () => {
    if (taken.length > 0) await fileAndSettle(context, filing, taken, budget);
    filing = new Filing();
    taken = [];
  };
  for (const message of batch.messages) {
    if (budget.files === 0) {
      message.retry();
      continue;
    }
    const shipped = readMessage(message.body);
    if (typeof shipped === "string") {
      await giveUp(context, message, `not an archive message: ${shipped}`);
      continue;
    }
    // What failed before goes alone: nobody else waits for it, and its files get the names they got then.
    const alone = message.attempts > 1;
    if (alone) await flush();
    try {
      if (await take(context, shipped, filing)) taken.push({ message, header: shipped.header });
      else message.ack();
    } catch (error) {
      await failed(context, message, error);
    }
    if (alone || filing.chars >= LINES_CHARS_MAX || filing.size >= FILES_GATHERED_MAX) await flush();
  }
  await flush();
}

/** Files one message, whatever it takes: for the replay of a dead letter. */
export async function fileNow(context: Context, shipped: ArchiveMessage): Promise<void> {
  const filing = new Filing();
  if (await take(context, shipped, filing)) await store(context, filing, [shipped.header], { files: Infinity });
}

/** The message, or why it is none. */
function readMessage(body: unknown): ArchiveMessage | string {
  try {
    return decodeArchiveMessage(body);
  } catch (error) {
    return textOf(error);
  }
}

/** Adds all lines of a message, or throws and adds none. False: it was filed before, and the page that it points to is gone. */
async function take(context: Context, { header, body }: ArchiveMessage, filing: Filing): Promise<boolean> {
  const page = header.page === undefined ? body : await pageAt(context, header.page);
  if (page === null) return false;
  const { namespaceId, object, epoch, customer } = header;
  const source: LineSource = { namespaceId, object, epoch, customerId: customer.declared ? customer.id : null };
  const entries = new Map<number, { at: number; lines: Line[] }>();
  const correcting: number[] = [];
  for (const { body: stored, events } of entriesOf(header, page)) {
    const entry = entryLines(source, decodeBody(stored, noParts), events);
    entries.set(entry.seq, entry);
    if (entry.corrects) correcting.push(entry.seq);
  }
  if (correcting.length > 0) {
    const call: Call = { namespaceId, name: "", configVersion: 0 };
    for (const mark of await context.customer(object).correctionsIn(call, correcting)) {
      const { lines } = entries.get(mark.seq)!;
      if (mark.present !== null) lines[mark.present.index] = amendingLine(lines[mark.present.index]!, mark.of);
      lines.push(correctionLine(source, mark));
    }
  }
  for (const { at, lines } of entries.values()) filing.add(header, lines, at);
  return true;
}

function* entriesOf({ from, to, directory }: ArchiveHeader, page: Uint8Array): Generator<StoredEntry> {
  for (const block of decodeDirectory(directory)) {
    const entries = decodeBlock(block, page.subarray(block.offset, block.offset + block.bytes));
    for (const entry of entries) if (entry.seq >= from && entry.seq <= to) yield entry;
  }
}

const noParts = (): never => {
  throw new Error("a shipped page has no parts outside of it");
};

async function pageAt({ env }: Context, key: string): Promise<Uint8Array | null> {
  const stored = await env.ARCHIVE.get(key);
  return stored === null ? null : new Uint8Array(await stored.arrayBuffer());
}

async function fileAndSettle(context: Context, filing: Filing, taken: readonly Taken[], budget: Budget): Promise<void> {
  try {
    const done = await store(
      context,
      filing,
      taken.map(({ header }) => header),
      budget,
    );
    for (const { message } of taken) {
      if (done) message.ack();
      else message.retry();
    }
  } catch (error) {
    for (const { message } of taken) await failed(context, message, error);
  }
}

/** Writes the files, then what the index says of them. False: there are more files than the budget has; those written are recorded. */
async function store(
  context: Context,
  filing: Filing,
  headers: readonly ArchiveHeader[],
  budget: Budget,
): Promise<boolean> {
  const all = filing.files(context.sha256);
  for (const [namespaceId, messages] of Map.groupBy(headers, (header) => header.namespaceId)) {
    const files = all.filter((filed) => filed.namespaceId === namespaceId);
    const { written, complete } = await write(context, namespaceId, files, budget);
    const parts = complete ? partsOf(files, messages) : [];
    const objects = complete ? objectsOf(messages) : [];
    await recordArchive(context.store, namespaceId, { files: written, parts, objects });
    if (!complete) return false;
  }
  const pages = headers.flatMap(({ page }) => page ?? []);
  if (pages.length > 0) await context.env.ARCHIVE.delete(pages);
  return true;
}

/** Uploads what is not recorded yet, as far as the budget goes. */
async function write(
  context: Context,
  namespaceId: string,
  files: readonly Filed[],
  budget: Budget,
): Promise<{ written: ArchiveFile[]; complete: boolean }> {
  const rows = files.map(({ file }) => file);
  const known = files.length > budget.files ? await recordedFiles(context.store, namespaceId, rows) : new Set<string>();
  const missing = files.filter(({ file }) => !known.has(file.file));
  const now = missing.slice(0, budget.files);
  const written: ArchiveFile[] = [];
  await atOnce(now, UPLOADS_AT_ONCE, async (filed) => void written.push(await upload(context, filed)));
  budget.files -= now.length;
  return { written, complete: now.length === missing.length };
}

async function upload(context: Context, { namespaceId, file, parts, customers, lines }: Filed): Promise<ArchiveFile> {
  const body = encodeFile(lines);
  await context.env.ARCHIVE.put(file.file, body, { httpMetadata: { contentType: "application/gzip" } });
  const index = {
    v: 1,
    namespace: namespaceId,
    file: file.file,
    events: file.events,
    bytes: body.length,
    fromTime: formatInstant(file.fromTime),
    toTime: formatInstant(file.toTime),
    fromStored: formatInstant(file.fromStored),
    toStored: formatInstant(file.toStored),
    parts: parts.map(({ object, epoch, fromSeq, toSeq, events }) => {
      const { id, key, declared } = customers.get(object)!;
      return { object, key, ...(declared && { customerId: id }), epoch, fromSeq, toSeq, events };
    }),
  };
  await context.env.ARCHIVE.put(indexKey(file.file), JSON.stringify(index), {
    httpMetadata: { contentType: "application/json" },
  });
  return { ...file, bytes: body.length, createdAt: context.now() };
}

/** Every message has a part, also where none of its log entries held an event: what follows it is archived without a gap. */
function partsOf(files: readonly Filed[], messages: readonly ArchiveHeader[]): ArchivePart[] {
  const parts = files.flatMap((filed) => filed.parts);
  const keyOf = (object: string, epoch: string, fromSeq: number) => `${object} ${epoch} ${fromSeq}`;
  const held = new Set(parts.map(({ object, epoch, fromSeq }) => keyOf(object, epoch, fromSeq)));
  for (const { object, epoch, from, to } of messages) {
    if (!held.has(keyOf(object, epoch, from)))
      parts.push({ object, epoch, fromSeq: from, toSeq: to, day: 0, file: "", events: 0 });
  }
  return parts;
}

/** By name, each once. */
const objectsOf = (headers: readonly ArchiveHeader[]): ArchivedObject[] =>
  [...new Map(headers.map((header) => [header.object, header])).values()]
    .map(({ object, epoch, customer }) => ({
      name: object,
      epoch,
      customerId: customer.id,
      customerKey: customer.key ?? "",
      firstSeenAt: customer.createdAt,
    }))
    .sort((a, b) => (a.name < b.name ? -1 : 1));

async function failed(context: Context, message: Message, error: unknown): Promise<void> {
  context.report("events could not be archived", { attempts: message.attempts, cause: causeOf(error) });
  if (message.attempts < ARCHIVE_ATTEMPTS_MAX) message.retry({ delaySeconds: retryDelaySeconds(message.attempts) });
  else await giveUp(context, message, `gave up after ${message.attempts} attempts: ${textOf(error)}`);
}

async function giveUp(context: Context, message: Message, reason: string): Promise<void> {
  try {
    await recordDeadLetters(context.store, [deadLetter(context, "archive", message, reason)]);
    message.ack();
  } catch (error) {
    context.report("a dead letter could not be recorded", { cause: causeOf(error) });
    message.retry({ delaySeconds: retryDelaySeconds(message.attempts) });
  }
}

const textOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));
