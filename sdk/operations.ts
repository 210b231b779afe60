/** What an operator or a test asks: the sandbox's clock, and the messages that no retry could deliver. */
import { Pages, type Page, type PageQuery } from "./pages";
import { path, type CallOptions, type Transport } from "./transport";
import type { ClockView, DeadLetter, Time } from "./types";
import { timestamp } from "./usage";

/** The test clock of a sandbox namespace: it runs with the wall clock until the first `set`, then stands still between them. */
export class TestClock {
  readonly #transport: Transport;

  constructor(transport: Transport) {
    this.#transport = transport;
  }

  get(options?: CallOptions): Promise<ClockView> {
    return this.#transport.send({ method: "GET", path: "/api/v1/clock" }, options);
  }

  /** Moves time forward; every deadline that passes has run when this resolves. */
  set(now: Time, options?: CallOptions): Promise<ClockView> {
    return this.#transport.send({ method: "PUT", path: "/api/v1/clock", body: { now: timestamp(now) } }, options);
  }
}

export class DeadLetters {
  readonly #transport: Transport;

  constructor(transport: Transport) {
    this.#transport = transport;
  }

  list(query?: PageQuery, options?: CallOptions): Pages<DeadLetter> {
    const fetchPage = ({ cursor, limit }: PageQuery) =>
      this.#transport.send<Page<DeadLetter>>(
        { method: "GET", path: "/api/v1/dead-letters", query: { cursor, limit } },
        options,
      );
    return new Pages(fetchPage, query);
  }

  /** Applies it again; harmless if it was applied before. */
  replay(id: string, options?: CallOptions): Promise<DeadLetter> {
    return this.#transport.send(
      { method: "POST", path: path`/api/v1/dead-letters/${id}/replay`, keyed: true },
      options,
    );
  }
}
