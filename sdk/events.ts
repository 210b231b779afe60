/** Facts by the road of OpenMeter: CloudEvents, one or many a call; the answer comes when every one is durable and counted. */
import { writeExactJson } from "./exact-json";
import type { CallOptions, Transport } from "./transport";
import type { CustomerRef, EventInput, Time } from "./types";
import { completeEvent, timestamp } from "./usage";

export class Events {
  readonly #transport: Transport;

  constructor(transport: Transport) {
    this.#transport = transport;
  }

  /** Records all of `events` or rejects; after a rejection, the same events (with ids) can be sent again harmlessly. */
  async ingest(events: EventInput | readonly EventInput[], options?: CallOptions): Promise<void> {
    const { newId } = this.#transport.runtime;
    const list = Array.isArray(events) ? (events as readonly EventInput[]) : [events as EventInput];
    if (list.length === 0) return;
    await this.ingestJson(writeExactJson(list.map((event) => completeEvent(event, newId))), options);
  }

  /** The same for a JSON array of complete events, written before. */
  ingestJson(json: string, options?: CallOptions): Promise<void> {
    const request = {
      method: "POST",
      path: "/api/v1/events",
      contentType: "application/cloudevents-batch+json",
      json,
    } as const;
    return this.#transport.send(request, options);
  }

  /** Prices what was recorded before a rule for it existed. */
  rate(
    range: Partial<CustomerRef> & { from?: Time; to?: Time } = {},
    options?: CallOptions,
  ): Promise<{ rated: number; remaining: number }> {
    const body = {
      customer: range.customer ?? range.userId,
      from: range.from === undefined ? undefined : timestamp(range.from),
      to: range.to === undefined ? undefined : timestamp(range.to),
    };
    return this.#transport.send({ method: "POST", path: "/api/v1/events/rate", body, keyed: true }, options);
  }
}
