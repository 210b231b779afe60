/** Many calls, a few at a time: a batch never opens more than its width, and never waits for one slow call to start the next. */

/** Runs `work` over all items, `width` at a time. The first throw is the whole call's; work that must not be cut short catches its own. */
export async function atOnce<T>(items: readonly T[], width: number, work: (item: T) => Promise<void>): Promise<void> {
  let next = 0;
  const lane = async (): Promise<void> => {
    while (next < items.length) await work(items[next++]!);
  };
  await Promise.all(Array.from({ length: Math.min(width, items.length) }, lane));
}
