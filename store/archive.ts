/**
 * The archive's index: which file in R2 holds which log entries of which object, and how far each object's log is archived without a
 * gap. Files and parts never change, and recording them again changes nothing: a batch that failed half way is simply tried again.
 */
import { and, asc, desc, eq, gt, gte, isNotNull, lt, lte, sql } from "drizzle-orm";
import { insertRows, isAmong } from "./bulk";
import { pageOf, type Page, type PageRequest } from "./page";
import { commit, type Store } from "./store";

export interface ArchiveFile {
  /** UTC day of the events' time, days since 1970. */
  day: number;
  /** Its key in R2. */
  file: string;
  events: number;
  bytes: number;
  fromTime: number;
  toTime: number;
  fromStored: number;
  toStored: number;
  createdAt: number;
}

/** Log entries [fromSeq, toSeq] of an object: those of their events that fall on this day are in this file. */
export interface ArchivePart {
  object: string;
  epoch: string;
  fromSeq: number;
  toSeq: number;
  day: number;
  /** "": no event was in these entries. */
  file: string;
  events: number;
}

/** An object whose entries were archived. Its projection may not have arrived yet. */
export interface ArchivedObject {
  name: string;
  epoch: string;
  customerId: string;
  customerKey: string;
  firstSeenAt: number;
}

export interface ArchiveRecord {
  files: readonly ArchiveFile[];
  parts: readonly ArchivePart[];
  objects: readonly ArchivedObject[];
}

/** Rows in one statement: D1 binds values up to 2 MB. */
const ROWS_PER_STATEMENT_MAX = 2_000;

export async function recordArchive(
  store: Store,
  namespaceId: string,
  { files, parts, objects }: ArchiveRecord,
): Promise<void> {
  const { archiveFiles, archiveParts, objects: registry } = store.tables;
  const inNamespace = <T>(rows: readonly T[]) => slicesOf(rows.map((row) => ({ ...row, namespaceId })));
  const unheard = objects.map((object) => ({ ...object, ...UNHEARD, updatedAt: object.firstSeenAt }));
  await commit(store, [
    ...inNamespace(files).map((rows) => insertRows(store, archiveFiles, rows).onConflictDoNothing()),
    ...inNamespace(parts).map((rows) => insertRows(store, archiveParts, rows).onConflictDoNothing()),
    ...inNamespace(unheard).map((rows) => insertRows(store, registry, rows).onConflictDoNothing()),
  ]);
  await advance(store, namespaceId, parts, objects);
}

/** What a registry row says of an object before the object's own message comes, which is newer than this. */
const UNHEARD = { lastSeq: 0, eventCount: 0, foldedVersion: 0, archivedSeq: 0, today: 0, todayCounts: null };

/**
 * Moves each object's position over these parts and those recorded before that follow without a gap. After the parts are committed:
 * of two consumers whose parts complete each other, the one that looks later sees both.
 */
async function advance(
  store: Store,
  namespaceId: string,
  recorded: readonly ArchivePart[],
  objects: readonly ArchivedObject[],
): Promise<void> {
  const { archiveParts, objects: registry } = store.tables;
  const names = objects.map(({ name }) => name);
  const inNamespace = eq(registry.namespaceId, namespaceId);
  const known = await store.db
    .select({ name: registry.name, at: registry.archivedSeq })
    .from(registry)
    .where(and(inNamespace, isAmong(store, registry.name, names)));
  const before = new Map(known.map(({ name, at }) => [name, at]));
  const places = JSON.stringify(objects.map(({ name, epoch }) => [name, epoch, before.get(name) ?? 0]));
  const ahead = await store.db
    .select({ object: archiveParts.object, fromSeq: archiveParts.fromSeq, toSeq: archiveParts.toSeq })
    .from(store.dialect.jsonRows(places))
    // Crossed, so that SQLite seeks the parts of each place and never looks for the places of each part.
    .crossJoin(archiveParts)
    .where(
      and(
        eq(archiveParts.namespaceId, namespaceId),
        sql`${archiveParts.object} = r.value ->> 0`,
        sql`${archiveParts.epoch} = r.value ->> 1`,
        sql`${archiveParts.fromSeq} > cast(r.value ->> 2 as bigint)`,
      ),
    );
  const after = new Map(before);
  for (const { object, fromSeq, toSeq } of [...recorded, ...ahead].sort((a, b) => a.fromSeq - b.fromSeq)) {
    const at = after.get(object) ?? 0;
    if (fromSeq <= at + 1 && toSeq > at) after.set(object, toSeq);
  }
  const moved = [...after].filter(([name, at]) => at > (before.get(name) ?? 0)).sort(([a], [b]) => (a < b ? -1 : 1));
  if (moved.length === 0) return;
  await commit(store, [
    store.db
      .update(registry)
      .set({ archivedSeq: sql`cast(r.value ->> 1 as bigint)` })
      .from(store.dialect.jsonRows(JSON.stringify(moved)))
      .where(
        and(
          inNamespace,
          sql`${registry.name} = r.value ->> 0`,
          sql`${registry.archivedSeq} < cast(r.value ->> 1 as bigint)`,
        ),
      ),
  ]);
}

function slicesOf<T>(rows: readonly T[]): T[][] {
  const slices: T[][] = [];
  for (let from = 0; from < rows.length; from += ROWS_PER_STATEMENT_MAX)
    slices.push(rows.slice(from, from + ROWS_PER_STATEMENT_MAX));
  return slices;
}

/** The names of those of these files that are recorded. */
export async function recordedFiles(
  store: Store,
  namespaceId: string,
  files: readonly Pick<ArchiveFile, "day" | "file">[],
): Promise<Set<string>> {
  const { archiveFiles } = store.tables;
  const rows = await store.db
    .select({ file: archiveFiles.file })
    .from(store.dialect.jsonRows(JSON.stringify(files.map(({ day, file }) => [day, file]))))
    .crossJoin(archiveFiles)
    .where(
      and(
        eq(archiveFiles.namespaceId, namespaceId),
        sql`${archiveFiles.day} = cast(r.value ->> 0 as bigint)`,
        sql`${archiveFiles.file} = r.value ->> 1`,
      ),
    );
  return new Set(rows.map(({ file }) => file));
}

/** What a reader looks for: files that may hold such events, those with the latest first. */
export interface FileRange {
  /** Event times [from, to), epoch ms. */
  from: number;
  to: number;
  /** Times of acceptance [storedFrom, storedTo). */
  storedFrom: number;
  storedTo: number;
}

const DAY_MS = 24 * 60 * 60_000;

export async function listFilesByTime(
  store: Store,
  namespaceId: string,
  { from, to, storedFrom, storedTo }: FileRange,
  limit: number,
): Promise<ArchiveFile[]> {
  const { archiveFiles } = store.tables;
  return store.db
    .select()
    .from(archiveFiles)
    .where(
      and(
        eq(archiveFiles.namespaceId, namespaceId),
        gte(archiveFiles.day, Math.floor(from / DAY_MS)),
        lte(archiveFiles.day, Math.floor(to / DAY_MS)),
        lt(archiveFiles.fromTime, to),
        gte(archiveFiles.toTime, from),
        lt(archiveFiles.fromStored, storedTo),
        gte(archiveFiles.toStored, storedFrom),
      ),
    )
    .orderBy(desc(archiveFiles.day), desc(archiveFiles.toTime), asc(archiveFiles.file))
    .limit(limit);
}

/** All of them, by day and name; the cursor is `<day> <file>`. */
export async function listArchiveFiles(
  store: Store,
  namespaceId: string,
  { cursor, limit }: PageRequest,
): Promise<Page<ArchiveFile>> {
  const { archiveFiles } = store.tables;
  const [day = "", file = ""] = cursor?.split(" ") ?? [];
  const rows = await store.db
    .select()
    .from(archiveFiles)
    .where(
      and(
        eq(archiveFiles.namespaceId, namespaceId),
        cursor === null ? undefined : sql`(${archiveFiles.day}, ${archiveFiles.file}) > (${Number(day)}, ${file})`,
      ),
    )
    .orderBy(asc(archiveFiles.day), asc(archiveFiles.file))
    .limit(limit + 1);
  return pageOf(rows, limit, (row) => `${row.day} ${row.file}`);
}

/** Objects some of whose log entries are in no file yet, the ones heard of last first. */
export async function listUnarchived(
  store: Store,
  namespaceId: string,
  limit: number,
): Promise<{ object: string; customerId: string }[]> {
  const { objects } = store.tables;
  return store.db
    .select({ object: objects.name, customerId: objects.customerId })
    .from(objects)
    .where(and(eq(objects.namespaceId, namespaceId), gt(objects.lastSeq, objects.archivedSeq)))
    .orderBy(desc(objects.updatedAt))
    .limit(limit);
}

/** Objects whose log is not archived to its end though nothing came for long, and how far it is. */
export async function listForgotten(
  store: Store,
  namespaceId: string,
  { quietSince, limit }: { quietSince: number; limit: number },
): Promise<{ object: string; archivedSeq: number }[]> {
  const { objects } = store.tables;
  return store.db
    .select({ object: objects.name, archivedSeq: objects.archivedSeq })
    .from(objects)
    .where(
      and(
        eq(objects.namespaceId, namespaceId),
        gt(objects.lastSeq, objects.archivedSeq),
        lt(objects.updatedAt, quietSince),
      ),
    )
    .orderBy(asc(objects.updatedAt))
    .limit(limit);
}

/** An object moves into another once in its life, but that one may move too. */
const MOVES_MAX = 8;

/** Where what these objects hold is now, and whose it is; `customerId` null: nobody's. */
export async function customersOfObjects(
  store: Store,
  namespaceId: string,
  names: readonly string[],
): Promise<Map<string, { home: string; customerId: string | null }>> {
  const { customers, merges, objects } = store.tables;
  const homes = new Map(names.map((name) => [name, name]));
  for (let step = 0, asked = [...names]; step < MOVES_MAX && asked.length > 0; step++) {
    const moved = await store.db
      .select({ source: merges.source, home: merges.home })
      .from(merges)
      .where(and(eq(merges.namespaceId, namespaceId), isAmong(store, merges.id, asked), isNotNull(merges.finishedAt)));
    const next = new Map(moved.map(({ source, home }) => [source, home]));
    for (const [name, home] of homes) homes.set(name, next.get(home) ?? home);
    asked = [...new Set(next.values())];
  }
  const owners = await store.db
    .select({ name: objects.name, customerId: customers.id })
    .from(objects)
    .leftJoin(customers, and(eq(customers.namespaceId, objects.namespaceId), eq(customers.id, objects.customerId)))
    .where(and(eq(objects.namespaceId, namespaceId), isAmong(store, objects.name, [...new Set(homes.values())])));
  const customerOf = new Map(owners.map(({ name, customerId }) => [name, customerId]));
  return new Map([...homes].map(([name, home]) => [name, { home, customerId: customerOf.get(home) ?? null }]));
}
