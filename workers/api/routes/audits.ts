/** For `npm run verify` and `npm run replay`: what objects, store and archive each say, and rebuilding. Comparing is the scripts' business. */
import { formatInstant } from "../../../core/instant";
import { audits } from "../../../schema/contract/audits";
import { customersOfObjects, listArchiveFiles } from "../../../store/archive";
import { pageRegistry, pageRollups, purgeOutdated } from "../../../store/audits";
import { findObject } from "../../../store/objects";
import { DAY_MS } from "../../archive/file";
import type { Context } from "../../context";
import { askObject, type Operation, type Tenant } from "../../customers";
import { foldObject } from "../../fold-object";
import { implement } from "../app";
import { listReply, pageRequest } from "../page";
import { invalid, notFound, refusalProblem } from "../problem";

/** Rows that one statement deletes: for some 40 ms every other writer of D1 waits. */
const PURGED_ROWS_MAX = 5_000;

export const auditRoutes = implement<typeof audits>(audits, {
  async objects({ context, principal, query }) {
    const { store } = context;
    const { namespaceId } = principal;
    const page = await pageRegistry(store, namespaceId, pageRequest(query));
    const names = page.items.map((row) => row.name);
    const homes = await customersOfObjects(store, namespaceId, names);
    return listReply(page, (row) => ({
      object: row.name,
      customerId: row.customerId,
      customerKey: row.customerKey,
      home: homes.get(row.name)?.home ?? row.name,
      epoch: row.epoch,
      seq: row.lastSeq,
      archivedSeq: row.archivedSeq,
      events: row.eventCount,
    }));
  },

  async object({ context, principal, query }) {
    const slice = await ask(context, principal, query.object, (stub, call) => stub.audit(call, query.from ?? null));
    const { next, done, total, totals, report } = slice;
    return { status: 200, body: { next, done, total, totals, report } };
  },

  async rollups({ context, principal, query }) {
    const { meter: meterKey, resolution } = query;
    const { cursor } = query;
    if (cursor !== undefined && !isRollupCursor(cursor))
      throw invalid([{ field: "cursor", message: "is no cursor of this list; use the nextCursor of the page before" }]);
    const page = await pageRollups(context.store, principal.namespaceId, { meterKey, resolution }, pageRequest(query));
    return listReply(page, ({ groupKey, ...row }) => ({ ...row, group: groupKey }));
  },

  async rebuild({ context, principal, body }) {
    const { epoch } = await ask(context, principal, body.object, (stub, call) => stub.rebuild(call));
    return { status: 200, body: { epoch } };
  },

  async refold({ context, principal, body }) {
    const operation = foldObject(context, principal.namespaceId, body.object);
    const { left } = await ask(context, principal, body.object, operation);
    return { status: 200, body: { left } };
  },

  async purge({ context, principal, body }) {
    const { meter: meterKey, objects } = body;
    const purged = await purgeOutdated(context.store, principal.namespaceId, {
      meterKey,
      objects,
      rowsMax: PURGED_ROWS_MAX,
    });
    return { status: 200, body: { purged } };
  },

  async files({ context, principal, query }) {
    if (query.cursor !== undefined && !/^\d{1,9} ./.test(query.cursor))
      throw invalid([{ field: "cursor", message: "is no cursor of this list; use the nextCursor of the page before" }]);
    const page = await listArchiveFiles(context.store, principal.namespaceId, pageRequest(query));
    return listReply(page, ({ file, day, events, bytes, fromTime, toTime }) => ({
      file,
      day: formatInstant(day * DAY_MS).slice(0, 10),
      events,
      bytes,
      fromTime: formatInstant(fromTime),
      toTime: formatInstant(toTime),
    }));
  },

  async file({ context, principal, query }) {
    // Other tenants' files, and those that are none of the archive's, do not exist.
    const own = query.file.startsWith(`events/namespace=${principal.namespaceId}/`);
    const stored = own ? await context.env.ARCHIVE.get(query.file) : null;
    if (stored === null) throw notFound("this file");
    return new Response(stored.body, { headers: { "content-type": "application/gzip" } });
  },
});

/** Asks the object itself, which must be the namespace's and hold its own data. */
async function ask<T>(
  context: Context,
  tenant: Tenant,
  object: string,
  operation: Operation<T>,
): Promise<{ ok: true } & T> {
  const row = await findObject(context.store, tenant.namespaceId, object);
  if (row === null) throw notFound("this object");
  const answer = await askObject(context, tenant, { object, customerId: row.customerId }, operation);
  if (answer === null) throw notFound("this object");
  if (!answer.ok) throw refusalProblem(answer);
  return answer;
}

function isRollupCursor(cursor: string): boolean {
  try {
    const read: unknown = JSON.parse(cursor);
    if (!Array.isArray(read)) return false;
    const [start, object, group, ...more] = read as unknown[];
    return Number.isSafeInteger(start) && typeof object === "string" && typeof group === "string" && more.length === 0;
  } catch {
    return false;
  }
}
