/** What a query does, step by step and some at once, and how far it is, for whoever follows it by its clientId. */
import { saveProgress } from "../store/progress";
import { commit } from "../store/store";
import { atOnce } from "./at-once";
import { causeOf, type Context } from "./context";

/** A step is a call of an object, or the reading of the rollups. */
const STEPS_AT_ONCE = 16;
/** Each telling is a row written. */
const TOLD_EVERY_MS = 500;

export class QuerySteps {
  private toldAt = 0;

  constructor(
    private readonly context: Context,
    private readonly namespaceId: string,
    private readonly clientId: string | null,
  ) {}

  /** A failed step fails the query, and says so. */
  async through<T>(items: readonly T[], work: (item: T) => Promise<void>): Promise<void> {
    let success = 0;
    const total = items.length;
    await this.tell({ success, failed: 0, total }, true);
    try {
      await atOnce(items, STEPS_AT_ONCE, async (item) => {
        await work(item);
        await this.tell({ success: ++success, failed: 0, total }, success === total);
      });
    } catch (error) {
      await this.tell({ success, failed: 1, total }, true);
      throw error;
    }
  }

  private async tell(done: { success: number; failed: number; total: number }, always: boolean): Promise<void> {
    if (this.clientId === null) return;
    const now = this.context.now();
    if (!always && now < this.toldAt + TOLD_EVERY_MS) return;
    this.toldAt = now;
    try {
      await commit(this.context.store, [
        saveProgress(this.context.store, this.namespaceId, this.clientId, { ...done, updatedAt: now }),
      ]);
    } catch (error) {
      this.context.report("the progress of a query could not be written", { cause: causeOf(error) });
    }
  }
}
