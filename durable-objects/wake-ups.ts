/**
 * One physical alarm, many named deadlines. Each name is a projection of what the object knows (something is unsent, a grant
 * expires); the alarm is set to the earliest. An alarm may come late, twice or never: every call sets a missing one again.
 */
export type WakeUpName =
  /** Ship totals, merge the log, checkpoint. */
  | "chores"
  /** What was accepted since the last time goes to the archive. */
  | "archive"
  /** A grant takes effect or expires. */
  | "deadline";

/** An alarm this late is taken for lost: setting it again costs one row write, waiting for it for ever costs the rollups. */
const OVERDUE_MS = 5_000;

export class WakeUps {
  private readonly due = new Map<WakeUpName, number>();
  /** When the physical alarm rings, as far as this instance knows; null: set it. */
  private armedAt: number | null = null;

  constructor(
    private readonly setAlarm: (at: number) => void,
    private readonly now: () => number,
  ) {}

  /** Proposes a time for `name`; null withdraws it. */
  propose(name: WakeUpName, at: number | null): void {
    if (at === null) this.due.delete(name);
    else this.due.set(name, at);
  }

  /** The earliest time proposed, or null. */
  next(): number | null {
    return this.due.size === 0 ? null : Math.min(...this.due.values());
  }

  /** Sets the alarm if none is set that rings early enough. A later one is left: ringing early costs less than a row write. */
  arm(): void {
    const next = this.next();
    if (next === null) return;
    const rings = this.armedAt !== null && this.armedAt > this.now() - OVERDUE_MS;
    if (rings && this.armedAt! <= next) return;
    this.armedAt = next;
    this.setAlarm(next);
  }

  /** The alarm rang: what is still due must be proposed and armed again. */
  rang(): void {
    this.armedAt = null;
  }

  has(name: WakeUpName): boolean {
    return this.due.has(name);
  }
}
