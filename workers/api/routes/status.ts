/** What waits and what is near a bound, as the shared store knows it. */
import { DEDUP_KEYS_MAX } from "../../../durable-objects/dedup-index";
import { status } from "../../../schema/contract/status";
import { countUnrated, listFullest, listLatest } from "../../../store/attention";
import { currentConfig } from "../../../store/config";
import { countUnreplayed } from "../../../store/dead-letters";
import { countObjects } from "../../../store/objects";
import { canSpill } from "../../queue/spill";
import { implement } from "../app";

/** Objects asked for what they have not sent: enough to see a queue that stands still, few enough to ask at once. */
const OUTBOXES_ASKED_MAX = 16;
const NEAR_BOUND = 0.8;
const NEAR_BOUND_SHOWN_MAX = 100;

export const statusRoutes = implement<typeof status>(status, {
  async get({ context, principal }) {
    const { store } = context;
    const { namespaceId, configVersion } = principal;
    const eventsMin = NEAR_BOUND * DEDUP_KEYS_MAX;
    const [config, totals, unrated, deadLetters, fullest, latest] = await Promise.all([
      currentConfig(store, namespaceId),
      countObjects(store, namespaceId),
      countUnrated(store, namespaceId),
      countUnreplayed(store, namespaceId),
      listFullest(store, namespaceId, { eventsMin, limit: NEAR_BOUND_SHOWN_MAX }),
      listLatest(store, namespaceId, OUTBOXES_ASKED_MAX),
    ]);
    const call = { namespaceId, name: "", configVersion: 0 };
    const outboxes = await Promise.all(latest.map(({ name }) => context.customer(name).outbox(call)));
    const waiting = outboxes.flatMap(({ unsentSince }) => (unsentSince === null ? [] : [unsentSince]));
    const newest = config?.version ?? 0;
    return {
      status: 200,
      body: {
        configVersion: newest,
        staleConfiguration: configVersion < newest,
        customers: totals.objects,
        events: totals.events,
        outbox: {
          checked: outboxes.length,
          oldestSeconds: waiting.length === 0 ? null : (context.now() - Math.min(...waiting)) / 1000,
        },
        unrated,
        deadLetters,
        spill: canSpill(context) ? "on" : "off",
        nearBound: fullest.map(({ customerKey, events }) => ({
          customer: customerKey,
          events,
          eventsMax: DEDUP_KEYS_MAX,
        })),
      },
    };
  },
});
