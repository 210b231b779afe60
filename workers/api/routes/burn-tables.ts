/** Burn tables: published as versions that never change, and read back. */
import { storeBurnTable, type BurnTable, type DefaultTable } from "../../../core/burn-table";
import { readBurnTable } from "../../../core/burn-table-body";
import type { Stored } from "../../../core/decimal";
import { formatInstant } from "../../../core/instant";
import { burnTables } from "../../../schema/contract/burn-tables";
import {
  findBurnTable,
  insertBurnTable,
  listBurnTables,
  listBurnTableVersions,
  type BurnTableRow,
} from "../../../store/burn-tables";
import { isRepeat } from "../../../store/idempotency";
import { publish } from "../../config";
import { sandboxTime } from "../../customers";
import { implement } from "../app";
import { once } from "../idempotency";
import { listReply, pageRequest } from "../page";
import { invalid, notFound } from "../problem";

type StoredBurnTable = Stored<BurnTable>;

/** Longer than any isolate or object may work with an older configuration, so that no usage is priced by the wrong version. */
const NOTICE_MS = 60_000;

const view = (
  { key, version, currency, effectiveFrom, rules, mappings, markup, priceBook }: StoredBurnTable,
  isDefault: boolean,
) => ({
  key,
  version,
  currency,
  effectiveFrom: formatInstant(effectiveFrom),
  rules,
  mappings,
  markup,
  priceBook,
  default: isDefault,
});

/** `body` holds what the row's columns do not. */
const tableOf = ({ key, version, currency, effectiveFrom, body }: BurnTableRow): StoredBurnTable => ({
  ...(JSON.parse(body) as Pick<StoredBurnTable, "rules" | "mappings" | "markup" | "priceBook">),
  key,
  version,
  currency,
  effectiveFrom,
});

export const burnTableRoutes = implement<typeof burnTables>(burnTables, {
  async list({ context, principal, query }) {
    return listReply(await listBurnTables(context.store, principal.namespaceId, pageRequest(query)), (row) =>
      view(tableOf(row), row.isDefault),
    );
  },

  create: (ask) =>
    once(ask, burnTables.create, async (remember) => {
      const { context, principal, body } = ask;
      const { namespaceId, kind } = principal;
      const isLive = kind === "live";
      const now = isLive ? context.now() : await sandboxTime(context, namespaceId);
      return publish(
        context,
        namespaceId,
        (current) => {
          const versions = current.burnTables.filter(({ key }) => key === body.key);
          const isLater = versions.length > 0;
          const version = 1 + Math.max(0, ...versions.map((table) => table.version));
          const read = readBurnTable(body, { version, now: isLive && isLater ? now + NOTICE_MS : now });
          if (!read.ok) throw invalid([{ field: read.refusal.field, message: read.refusal.detail }]);
          if (isLive && isLater && read.value.effectiveFrom < now + NOTICE_MS) {
            const earliest = formatInstant(now + NOTICE_MS);
            throw invalid([
              {
                field: "effectiveFrom",
                message: `must be at least 60 s ahead, because usage is priced until then by the version before: ${earliest} or later`,
              },
            ]);
          }
          const table = storeBurnTable(read.value);
          const before = versions.at(-1);
          if (before !== undefined && before.currency !== table.currency) {
            const message = `must stay ${before.currency}, as in the versions before; a table in another currency needs a key of its own`;
            throw invalid([{ field: "currency", message }]);
          }
          const defaults = nextDefaults(current.defaults, table, body.default, isLive ? now + NOTICE_MS : now);
          const isDefault = defaults.at(-1)?.key === table.key;
          const { rules, mappings, markup, priceBook } = table;
          const row: BurnTableRow = {
            key: table.key,
            version,
            currency: table.currency,
            effectiveFrom: table.effectiveFrom,
            isDefault,
            body: JSON.stringify({ rules, mappings, markup, priceBook }),
            createdAt: context.now(),
          };
          const reply = { status: 201 as const, body: view(table, isDefault) };
          return {
            snapshot: { burnTables: [...current.burnTables, table], defaults, meters: current.meters },
            statements: [...insertBurnTable(context.store, namespaceId, row), ...remember(reply)],
            answer: reply,
          };
        },
        (violation) => (isRepeat(violation) ? "stop" : "again"),
      );
    }),

  async get({ context, principal, params }) {
    const row = await findBurnTable(context.store, principal.namespaceId, params.key);
    if (row === null) throw notFound("this burn table");
    return { status: 200, body: view(tableOf(row), row.isDefault) };
  },

  async versions({ context, principal, params, query }) {
    const newest = await findBurnTable(context.store, principal.namespaceId, params.key);
    if (newest === null) throw notFound("this burn table");
    // To be the default is a matter of the table: its newest version knows.
    const page = await listBurnTableVersions(context.store, principal.namespaceId, params.key, pageRequest(query));
    return listReply(page, (row) => view(tableOf(row), newest.isDefault));
  },
});

/**
 * The first table is the default of all times unless it says that it is not. A later one takes over when it says so, and not before
 * every isolate knows: usage of before is priced by the default of before.
 */
function nextDefaults(
  defaults: readonly DefaultTable[],
  table: { key: string; effectiveFrom: number },
  asked: boolean | undefined,
  earliest: number,
): DefaultTable[] {
  if (defaults.length === 0) return asked === false ? [] : [{ key: table.key, from: 0 }];
  if (asked !== true || defaults.at(-1)!.key === table.key) return [...defaults];
  return [...defaults, { key: table.key, from: Math.max(earliest, table.effectiveFrom, defaults.at(-1)!.from) }];
}
