/** What a monitor scrapes: the objects' own counts of today, as the registry has them. */
import { dayOf } from "../../../core/today";
import { debug } from "../../../schema/contract/debug";
import { listToday } from "../../../store/objects";
import type { Context } from "../../context";
import { sandboxTime } from "../../customers";
import { implement } from "../app";

const OBJECTS_PER_PAGE = 1_000;

export const debugRoutes = implement<typeof debug>(debug, {
  async metrics({ context, principal }) {
    const { namespaceId, kind } = principal;
    const now = kind === "sandbox" ? await sandboxTime(context, namespaceId) : context.now();
    const counts = await countsOf(context, namespaceId, dayOf(now));
    const samples = [...counts].map(
      ([subject, count]) => `openmeter_events_total{subject="${escaped(subject)}"} ${count}\n`,
    );
    return new Response([...HEAD, ...samples, "# EOF\n"].join(""), { headers: { "content-type": "text/plain" } });
  },
});

const HEAD = ["# HELP openmeter_events Number of ingested events\n", "# TYPE openmeter_events counter\n"];

/** By subject: customers that were made of two have two objects of one subject. */
async function countsOf({ store }: Context, namespaceId: string, day: number): Promise<Map<string, number>> {
  const counts = new Map<string, number>();
  let cursor: string | null = null;
  do {
    const page: Awaited<ReturnType<typeof listToday>> = await listToday(store, namespaceId, day, {
      cursor,
      limit: OBJECTS_PER_PAGE,
    });
    for (const { todayCounts } of page.items)
      for (const [subject, count] of todayCounts ?? []) counts.set(subject, (counts.get(subject) ?? 0) + count);
    cursor = page.nextCursor;
  } while (cursor !== null);
  return counts;
}

/** The three characters that a label's value escapes. */
const escaped = (text: string): string => text.replaceAll("\\", "\\\\").replaceAll("\n", "\\n").replaceAll('"', '\\"');
