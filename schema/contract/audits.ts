/**
 * What `npm run verify` and `npm run replay` need: the registry of objects, each object's own count of its log, the rollups that the store
 * has of it, the archive's files, and rebuilding. For the operator's scripts, so the shapes are ours and plain.
 */
import * as z from "zod";
import { instant, listOf, name, page } from "./fields";
import type { Resource } from "./route";

/** Of one page of rollups: some 300 bytes each. */
const ROLLUPS_MAX = 5_000;
const ROLLUP_CURSOR_CHARS_MAX = 16_384;
/** Longer than the text of any group can be. */
const FOLD_KEY_CHARS_MAX = 64;
const OBJECTS_PER_PURGE_MAX = 100;

/** An object's name: its namespace, a slash, and what its subject was made into. */
const objectName = name.max(300);
const foldKey = z
  .string()
  .min(1)
  .max(FOLD_KEY_CHARS_MAX)
  .meta({ description: "A meter's id and its definition's fingerprint." });

const objectView = z
  .object({
    object: z.string(),
    customerId: z.string(),
    customerKey: z.string(),
    home: z.string().meta({ description: "The object that holds its data now: itself, unless it has moved." }),
    epoch: z.string(),
    seq: z.number().int().meta({ description: "The last log entry that the store has heard of." }),
    archivedSeq: z.number().int().meta({ description: "Log entries up to this one are in the archive." }),
    events: z.number().int(),
  })
  .meta({ id: "AuditedObject" });

const total = {
  group: z.string(),
  count: z.number().int(),
  sum: z.string(),
  min: z.string().nullable(),
  max: z.string().nullable(),
  latest: z.string().nullable(),
  latestAt: z.number().int().nullable(),
};

const slice = z
  .object({
    next: z.string().nullable().meta({ description: "Ask again with it; null: done." }),
    done: z.number().int(),
    total: z.number().int(),
    totals: z.array(z.object({ meter: z.string(), ...total })),
    report: z
      .object({
        object: z.string().nullable(),
        customerId: z.string().nullable(),
        epoch: z.string().nullable(),
        seq: z.number().int(),
        events: z.number().int(),
        differences: z.array(z.string()),
      })
      .nullable(),
  })
  .meta({ id: "AuditSlice" });

const rollup = z.object({
  object: z.string(),
  windowStart: z.number().int(),
  ...total,
  epoch: z.string(),
  seq: z.number().int(),
});

const archiveFile = z
  .object({
    file: z.string(),
    day: z.string(),
    events: z.number().int(),
    bytes: z.number().int(),
    fromTime: instant,
    toTime: instant,
  })
  .meta({ id: "ArchiveFile" });

const MOVED = { 404: "No such object, or its data has moved into another." } as const;

export const audits = {
  objects: {
    method: "GET",
    path: "/api/v1/audits/objects",
    access: "admin",
    summary: "List the objects that hold the namespace's data",
    query: page,
    replies: { 200: { description: "By name, as the store knows them.", schema: listOf(objectView) } },
  },
  object: {
    method: "GET",
    path: "/api/v1/audits/object",
    access: "admin",
    summary: "Count an object's log again",
    description: "A slice a call: ask again with `next` until it is null. Changes nothing.",
    query: z.strictObject({ object: objectName, from: name.optional() }),
    refusals: { ...MOVED, 503: "`folding`: its meters are being built; ask again." },
    replies: { 200: { description: "How far it is, and totals of the meters that are through.", schema: slice } },
  },
  rollups: {
    method: "GET",
    path: "/api/v1/audits/rollups",
    access: "admin",
    summary: "List a meter's rollups",
    query: z.strictObject({
      meter: foldKey,
      resolution: z.enum(["minute", "quarter"]),
      cursor: z.string().min(1).max(ROLLUP_CURSOR_CHARS_MAX).optional(),
      limit: z.coerce.number().int().min(1).max(ROLLUPS_MAX).default(ROLLUPS_MAX),
    }),
    replies: { 200: { description: "By window, object and group.", schema: listOf(rollup) } },
  },
  rebuild: {
    method: "POST",
    path: "/api/v1/audits/rebuild",
    access: "admin",
    summary: "Start an object's totals over",
    description: "They are made again from its log under a new epoch: call refold next.",
    body: { schema: z.strictObject({ object: objectName }) },
    idempotency: "claim",
    refusals: MOVED,
    replies: { 200: { description: "Started.", schema: z.object({ epoch: z.string().nullable() }) } },
  },
  refold: {
    method: "POST",
    path: "/api/v1/audits/refold",
    access: "admin",
    summary: "Go on with an object's totals",
    description: "Ask again until `left` is null: then the store has all of them.",
    body: { schema: z.strictObject({ object: objectName }) },
    idempotency: "claim",
    refusals: MOVED,
    replies: {
      200: {
        description: "How far it is.",
        schema: z.object({ left: z.object({ done: z.number().int(), total: z.number().int() }).nullable() }),
      },
    },
  },
  purge: {
    method: "POST",
    path: "/api/v1/audits/purge",
    access: "admin",
    summary: "Delete rollups from before a rebuild",
    description: "Of objects whose rebuilding is through. Ask again while `purged` is above zero.",
    body: {
      schema: z.strictObject({ meter: foldKey, objects: z.array(objectName).min(1).max(OBJECTS_PER_PURGE_MAX) }),
    },
    idempotency: "claim",
    replies: { 200: { description: "How many went.", schema: z.object({ purged: z.number().int() }) } },
  },
  files: {
    method: "GET",
    path: "/api/v1/archive/files",
    access: "admin",
    summary: "List the archive's files",
    query: page.extend({ cursor: z.string().min(1).max(512).optional() }),
    replies: { 200: { description: "By day and name.", schema: listOf(archiveFile) } },
  },
  file: {
    method: "GET",
    path: "/api/v1/archive/file",
    access: "admin",
    summary: "Read a file of the archive",
    query: z.strictObject({ file: name }),
    refusals: { 404: "There is no such file." },
    replies: { 200: { description: "Compressed lines (docs/archive.md).", contentType: "application/gzip" } },
  },
} as const satisfies Resource;
