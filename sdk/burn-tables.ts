/** Burn tables: versioned, effective-dated price lists that turn usage into credits. */
import { Pages, type Page, type PageQuery } from "./pages";
import { path, type CallOptions, type Transport } from "./transport";
import type { BurnTable, BurnTableInput } from "./types";

export class BurnTables {
  readonly #transport: Transport;

  constructor(transport: Transport) {
    this.#transport = transport;
  }

  /** Makes a table, or the next version of the one with this key. */
  create(table: BurnTableInput, options?: CallOptions): Promise<BurnTable> {
    return this.#transport.send({ method: "POST", path: "/api/v1/burn-tables", body: table, keyed: true }, options);
  }

  list(query?: PageQuery, options?: CallOptions): Pages<BurnTable> {
    return this.#pages("/api/v1/burn-tables", query, options);
  }

  /** The latest version. */
  get(key: string, options?: CallOptions): Promise<BurnTable> {
    return this.#transport.send({ method: "GET", path: path`/api/v1/burn-tables/${key}` }, options);
  }

  versions(key: string, query?: PageQuery, options?: CallOptions): Pages<BurnTable> {
    return this.#pages(path`/api/v1/burn-tables/${key}/versions`, query, options);
  }

  #pages(target: string, query?: PageQuery, options?: CallOptions): Pages<BurnTable> {
    const fetchPage = ({ cursor, limit }: PageQuery) =>
      this.#transport.send<Page<BurnTable>>({ method: "GET", path: target, query: { cursor, limit } }, options);
    return new Pages(fetchPage, query);
  }
}
