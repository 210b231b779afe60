/**
 * A list that is read as far as it is needed: `for await (const item of list)` fetches page after page;
 * `list.page()` fetches one, for a user interface with its own "more" button.
 */
export interface Page<T> {
  items: T[];
  /** Absent on the last page. */
  nextCursor?: string;
}

export interface PageQuery {
  cursor?: string | undefined;
  /** Items per page, at most 100. */
  limit?: number;
}

export class Pages<T> implements AsyncIterable<T> {
  readonly #fetchPage: (query: PageQuery) => Promise<Page<T>>;
  readonly #query: PageQuery;

  constructor(fetchPage: (query: PageQuery) => Promise<Page<T>>, query: PageQuery = {}) {
    this.#fetchPage = fetchPage;
    this.#query = query;
  }

  /** The page at `cursor`, or the first one. */
  page(cursor: string | undefined = this.#query.cursor): Promise<Page<T>> {
    return this.#fetchPage({ ...this.#query, cursor });
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<T, void, undefined> {
    let cursor = this.#query.cursor;
    do {
      const page = await this.page(cursor);
      yield* page.items;
      cursor = page.nextCursor;
    } while (cursor !== undefined);
  }
}
