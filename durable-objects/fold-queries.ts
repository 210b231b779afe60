/** Where a query of this object's meters finds what it reads: folds from fold-store.ts, single events from the log by their time. */
import type { FoldSource } from "../core/fold-query";
import type { AccountStore } from "./account-store";
import { orderOf } from "./fold-store";

export const foldSource = (store: AccountStore): FoldSource => ({
  hours: (meter, from, to) => store.folds.hours(meter, from, to),
  minutes: (meter, hour) => store.folds.minutes(meter, hour),
  *events(fromMs, toMs) {
    for (const { event, seq, index } of store.events(fromMs, toMs)) yield { event, order: orderOf(seq, index) };
  },
});
