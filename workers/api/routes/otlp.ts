/**
 * OpenTelemetry in: spans and log records that carry usage become events, and go the way of all events. What carries usage and cannot be
 * taken is counted and told in the answer; the rest of an export is nobody's business and is dropped unread.
 */
import type { UsageEvent } from "../../../core/event";
import { usageEventOf } from "../../../core/gen-ai";
import { otlp, OTLP_BODY_BYTES_MAX, OTLP_EVENTS_MAX } from "../../../schema/contract/otlp";
import { sandboxTime, type Tenant } from "../../customers";
import { CONTENT_TYPES, exportAnswer, statusAnswer, type Encoding, type Rejected } from "../../otlp/answer";
import { readJsonExport } from "../../otlp/read-json";
import { readProtobuf } from "../../otlp/read-protobuf";
import { Undecodable, type Signal, type Visit } from "../../otlp/record-reader";
import { implement, type Ask } from "../app";
import { claim, fingerprintOf } from "../idempotency";
import { Problem } from "../problem";
import { mediaType, readBytes, readJson, textOf } from "../read-body";
import { nameFault, type Part } from "../read-events";
import { recordParts } from "./events";

type Otlp = (typeof otlp)[Signal];

export const otlpRoutes = implement<typeof otlp>(otlp, {
  traces: { raw: (ask) => receive(ask, "traces") },
  logs: { raw: (ask) => receive(ask, "logs") },
});

async function receive(ask: Ask<Otlp>, signal: Signal): Promise<Response> {
  const encoding = encodingOf(ask.request);
  try {
    if (encoding === null) throw new Problem(415, `Content-Type must be ${Object.values(CONTENT_TYPES).join(" or ")}`);
    return exportAnswer(signal, encoding, await take(ask, signal, encoding));
  } catch (error) {
    if (error instanceof Problem) return statusAnswer(encoding ?? "json", error);
    throw error;
  }
}

function encodingOf(request: Request): Encoding | null {
  const type = mediaType(request);
  if (type === CONTENT_TYPES.protobuf) return "protobuf";
  return type === CONTENT_TYPES.json ? "json" : null;
}

/** Answers once everything is durable, or in the overflow queue. */
async function take(ask: Ask<Otlp>, signal: Signal, encoding: Encoding): Promise<Rejected | null> {
  const { context, principal, request } = ask;
  const body = await readBytes(request, OTLP_BODY_BYTES_MAX);
  const clockMs = principal.kind === "sandbox" ? await sandboxTime(context, principal.namespaceId) : undefined;
  const taken = new Taken(signal, clockMs ?? context.now());
  try {
    if (encoding === "protobuf") readProtobuf(signal, body, taken.visit);
    else readJsonExport(signal, readJson(textOf(body)).value, taken.visit);
  } catch (error) {
    if (error instanceof Undecodable)
      throw new Problem(400, `the body is no OTLP export of ${signal}: ${error.message}`);
    throw error;
  }
  if (ask.idempotencyKey !== null)
    await claim({ ...ask, fingerprint: fingerprintOf(context, request, body.toString("base64")) }, otlp[signal]);
  const tenant: Tenant = clockMs === undefined ? principal : { ...principal, clockMs };
  if (taken.parts.size > 0) await recordParts(context, tenant, [...taken.parts.values()], taken.plain);
  return taken.rejected();
}

/** Reasons told in one answer: an exporter has one or two faults, not many. */
const REASONS_TOLD_MAX = 5;
const NOUNS: Record<Signal, string> = { traces: "span", logs: "log record" };

/** What an export holds for us, by customer, and what of it cannot be taken. */
class Taken {
  readonly parts = new Map<string, Part>();
  /** JSON.parse reads every number exactly. */
  plain = true;
  private events = 0;
  private readonly reasons = new Map<string, number>();

  constructor(
    private readonly signal: Signal,
    private readonly nowMs: number,
  ) {}

  readonly visit: Visit = (record) => {
    const read = usageEventOf(record, this.nowMs);
    const fault = read.ok ? read.value && faultOf(read.value) : read.refusal;
    if (fault !== null) this.reasons.set(fault, (this.reasons.get(fault) ?? 0) + 1);
    else if (read.ok && read.value !== null) this.add(read.value);
  };

  private add(event: UsageEvent): void {
    if (++this.events > OTLP_EVENTS_MAX) {
      const detail = `an export may have at most ${OTLP_EVENTS_MAX} ${NOUNS[this.signal]}s with usage; make its batches smaller`;
      throw new Problem(413, detail);
    }
    const { subject } = event;
    const part = this.parts.get(subject) ?? { subject, events: [] };
    this.parts.set(subject, part);
    part.events.push(event);
    this.plain &&= !Object.values(usageOf(event)).some((quantity) => JSON.isRawJSON(quantity));
  }

  rejected(): Rejected | null {
    if (this.reasons.size === 0) return null;
    const most = [...this.reasons].toSorted(([, a], [, b]) => b - a);
    const told = most
      .slice(0, REASONS_TOLD_MAX)
      .map(([reason, count]) => `${count} ${NOUNS[this.signal]}${count === 1 ? "" : "s"}: ${reason}`);
    return { count: most.reduce((sum, [, count]) => sum + count, 0), message: told.join("; ") };
  }
}

const usageOf = ({ data }: UsageEvent): object => data?.usage as object;

/** Names end in storage keys and on the wire, and here nobody has bounded them. */
function faultOf(event: UsageEvent): string | null {
  const { usage: _, ...texts } = event.data ?? {};
  for (const [name, text] of Object.entries({ customer: event.subject, "service.name": event.source, ...texts })) {
    const fault = nameFault(text);
    if (fault !== null) return `${name} ${fault}`;
  }
  return null;
}
