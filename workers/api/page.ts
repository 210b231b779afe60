/** Lists on the wire: `{items, nextCursor?}`, `cursor` and `limit` in. */
import type { Page, PageRequest } from "../../store/page";

export const pageRequest = ({ cursor, limit }: { cursor?: string | undefined; limit: number }): PageRequest => ({
  cursor: cursor ?? null,
  limit,
});

export const listReply = <T, V>({ items, nextCursor }: Page<T>, view: (item: T) => V) => ({
  status: 200 as const,
  body: { items: items.map(view), ...(nextCursor !== null && { nextCursor }) },
});
