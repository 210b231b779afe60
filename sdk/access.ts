/** Who may call: keys and namespaces. A key's text is in the answer that made it and nowhere else. */
import { Pages, type Page, type PageQuery } from "./pages";
import { path, type CallOptions, type Transport } from "./transport";
import type { ApiKey, Namespace, NewApiKey, Scope, Time } from "./types";

export class ApiKeys {
  readonly #transport: Transport;

  constructor(transport: Transport) {
    this.#transport = transport;
  }

  create(key: { name: string; scopes: Scope[]; expiresAt?: Time | null }, options?: CallOptions): Promise<NewApiKey> {
    return this.#transport.send({ method: "POST", path: "/api/v1/api-keys", body: key, keyed: true }, options);
  }

  list(query?: PageQuery, options?: CallOptions): Pages<ApiKey> {
    const fetchPage = ({ cursor, limit }: PageQuery) =>
      this.#transport.send<Page<ApiKey>>(
        { method: "GET", path: "/api/v1/api-keys", query: { cursor, limit } },
        options,
      );
    return new Pages(fetchPage, query);
  }

  /** A new key text for the same name and scopes; the old one lives on for `overlap` (ISO 8601, "PT1H"). */
  rotate(id: string, rotation: { overlap: string }, options?: CallOptions): Promise<NewApiKey> {
    const target = path`/api/v1/api-keys/${id}/rotate`;
    return this.#transport.send({ method: "POST", path: target, body: rotation, keyed: true }, options);
  }

  /** It stops within 30 s everywhere, in a sandbox at once. */
  revoke(id: string, options?: CallOptions): Promise<void> {
    return this.#transport.send({ method: "DELETE", path: path`/api/v1/api-keys/${id}` }, options);
  }
}

/** With the operator's key only. */
export class Namespaces {
  readonly #transport: Transport;

  constructor(transport: Transport) {
    this.#transport = transport;
  }

  /** `apiKey` has every scope of the new namespace, and is shown this once. */
  create(
    namespace: { key: string; kind: "live" | "sandbox" },
    options?: CallOptions,
  ): Promise<Namespace & { apiKey: string }> {
    return this.#transport.send({ method: "POST", path: "/api/v1/namespaces", body: namespace, keyed: true }, options);
  }

  list(query?: PageQuery, options?: CallOptions): Pages<Namespace> {
    const fetchPage = ({ cursor, limit }: PageQuery) =>
      this.#transport.send<Page<Namespace>>(
        { method: "GET", path: "/api/v1/namespaces", query: { cursor, limit } },
        options,
      );
    return new Pages(fetchPage, query);
  }

  /** Closes it, by id or key. */
  close(idOrKey: string, options?: CallOptions): Promise<void> {
    return this.#transport.send({ method: "DELETE", path: path`/api/v1/namespaces/${idOrKey}` }, options);
  }
}
