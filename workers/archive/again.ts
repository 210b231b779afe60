/**
 * Has objects send again what never reached the archive. Deployed, a message that fails is tried for days and then a dead letter, so this
 * is for what not even that explains. A local server's queue is an array in memory: what it held when it was killed is missed here.
 */
import type { Call } from "../../durable-objects/rpc";
import { listForgotten } from "../../store/archive";
import { atOnce } from "../at-once";
import { causeOf, type Context } from "../context";

const MINUTE_MS = 60_000;
const QUIET_LOCAL_MS = 2 * MINUTE_MS;
/** Longer than the queue tries (queue/archive.ts). */
const QUIET_MS = 4 * 24 * 60 * MINUTE_MS;
/** Of one namespace in one run. */
const OBJECTS_MAX = 100;
const OBJECTS_AT_ONCE = 8;

export const isLocal = ({ env }: Pick<Context, "env">): boolean => env.TOLLGATE_LOCAL === "1";

export async function archiveForgotten(context: Context, namespaceId: string): Promise<void> {
  const quietSince = context.now() - (isLocal(context) ? QUIET_LOCAL_MS : QUIET_MS);
  const forgotten = await listForgotten(context.store, namespaceId, { quietSince, limit: OBJECTS_MAX });
  await atOnce(forgotten, OBJECTS_AT_ONCE, async ({ object, archivedSeq }) => {
    const call: Call = { namespaceId, name: "", configVersion: 0 };
    try {
      await context.customer(object).archiveFrom(call, archivedSeq);
    } catch (error) {
      context.report("an object could not be asked to archive again", { object, cause: causeOf(error) });
    }
  });
}
