/**
 * The rollups of meters whose folds were made from the log, page by page, to whoever writes them into the store in order
 * (workers/fold-object.ts). Until the store has them all none goes through the queue: it would bring them in any order, and nobody
 * could say when all of them are there. A page that is not known to be written is unsent again.
 */
import { MINUTE_RETENTION_MS } from "../core/rollup";
import type { AccountStore } from "./account-store";
import type { TakenRollups } from "./fold-store";
import type { FoldedBy } from "./log-folds";
import { ratingMessages } from "./outbox";
import type { FoldedPage } from "./rpc";

/** Of one page as JSON: some 2,000 rows, which is one statement of the store. */
const PAGE_BYTES = 450_000;
/** Whoever has a page and does not come back for so long has died. */
const PAGE_HELD_MS_MAX = 10_000;

export class FoldedRollups {
  private page: { token: string; taken: TakenRollups; givenAt: number } | null = null;

  constructor(
    private readonly store: AccountStore,
    private readonly now: () => number,
    private readonly newToken: () => string,
    private readonly pageBytes = PAGE_BYTES,
  ) {}

  /** The page after the one that is `written`. Nothing may be pending. Null: there may be one later, because somebody else has a page. */
  next(by: FoldedBy, { written, take }: { written: string | null; take: boolean }, at: number): FoldedPage | null {
    const account = this.store.load(by);
    const { folds, counts } = this.store;
    if (!this.settle(written) || (!take && folds.hasUnsentOf(counts.isUntold))) return null;
    const minutesFrom = this.now() - MINUTE_RETENTION_MS;
    const taken = folds.takeUnsent(by.meters, this.pageBytes, counts.isUntold, minutesFrom);
    if (taken === null) {
      counts.told(by.version);
      this.store.checkpoint();
      return { messages: [], page: null, foldedVersion: counts.toldVersion };
    }
    const token = this.newToken();
    this.page = { token, taken, givenAt: this.now() };
    const messages = ratingMessages(account, taken.rows, at, counts.toldVersion);
    return { messages, page: token, foldedVersion: counts.toldVersion };
  }

  /** The fate of the page before; false: it is not known yet. */
  private settle(token: string | null): boolean {
    const { page } = this;
    if (page === null) return true;
    if (page.token === token) {
      page.taken.sent();
      this.store.counts.sent();
      this.store.checkpoint();
    } else if (this.now() - page.givenAt < PAGE_HELD_MS_MAX) return false;
    else page.taken.putBack();
    this.page = null;
    return true;
  }
}
