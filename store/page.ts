/** One page of a list. The cursor is the key of the last item, so a page costs its own rows and survives inserts between two pages. */

export interface PageRequest {
  cursor: string | null;
  /** Items; the caller bounds it. */
  limit: number;
}

export interface Page<T> {
  items: T[];
  /** null: this was the last page. */
  nextCursor: string | null;
}

/** `rows` were read with a limit of one more than asked: the extra row only tells that there is a next page. */
export function pageOf<T>(rows: T[], limit: number, cursorOf: (item: T) => string): Page<T> {
  const items = rows.slice(0, limit);
  const last = items.at(-1);
  return { items, nextCursor: rows.length > limit && last !== undefined ? cursorOf(last) : null };
}
