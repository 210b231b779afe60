/**
 * The rollups of meters whose folds were made from the log, page by page, to whoever writes them into the store in order
 * (workers/fold-object.ts). Until the store has them all none goes through the queue: it would bring them in any order, and nobody
 * could say when all of them are there. A page that is not known to be written is unsent again.
 */
import type { RatingMessage } from "../schema/messages";
import type { AccountStore } from "./account-store";
import type { TakenRollups } from "./fold-store";
import type { FoldedBy } from "./log-folds";
import { ratingMessages } from "./outbox";

/** Of one page as JSON: some 2,000 rows, which is one statement of the store. */
const PAGE_BYTES = 800_000;
/** Whoever has a page and does not come back for so long has died. */
const PAGE_HELD_MS_MAX = 10_000;

export interface FoldedPage {
  messages: RatingMessage[];
  /** Says that this page is written; null: the store has everything. */
  next: string | null;
  /** What the store may believe then. */
  foldedVersion: number;
}

export class FoldedRollups {
  private page: { token: string; taken: TakenRollups; givenAt: number } | null = null;

  constructor(
    private readonly store: AccountStore,
    private readonly now: () => number,
    private readonly newToken: () => string,
  ) {}

  /** The page after the one of this token. Nothing may be pending. Null: somebody else is writing a page. */
  next(by: FoldedBy, after: string | null, at: number): FoldedPage | null {
    const account = this.store.load(by);
    const { folds, counts } = this.store;
    if (!this.settle(after)) return null;
    const taken = folds.takeUnsent(by.meters, PAGE_BYTES, counts.isUntold);
    if (taken === null) {
      counts.told(by.version);
      this.store.checkpoint();
      return { messages: [], next: null, foldedVersion: counts.toldVersion };
    }
    const token = this.newToken();
    this.page = { token, taken, givenAt: this.now() };
    const messages = ratingMessages(account, taken.rows, at, counts.toldVersion);
    return { messages, next: token, foldedVersion: counts.toldVersion };
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
