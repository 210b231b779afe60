/** OpenTelemetry's own protocol, as far as it tells of calls to models: OTLP/HTTP, at the paths that every exporter knows. */
import * as z from "zod";
import type { Resource, Route } from "./route";

export const OTLP_BODY_BYTES_MAX = 10 * 1024 * 1024;
/** Spans or log records with usage, in one export. */
export const OTLP_EVENTS_MAX = 10_000;
const CONTENT_TYPES = ["application/json", "application/x-protobuf"];

const answer = (rejected: string) =>
  z.object({
    partialSuccess: z
      .object({ [rejected]: z.string().meta({ description: "How many, 64 bits as text." }), errorMessage: z.string() })
      .optional()
      .meta({ description: "What carries usage and was not taken, for example because it names no customer." }),
  });

const records = (what: string) =>
  z
    .array(z.looseObject({}))
    .optional()
    .meta({ description: `OTLP's ${what}.` });

const route = {
  method: "POST",
  access: "ingest",
  description:
    "Those with attributes `gen_ai.usage.*` become events of type `gen_ai.usage` and are debited like any other; the rest is ignored. " +
    "Customer: the attribute `tollgate.customer`, else `user.id`, of the record or its resource. " +
    "Identity: service name, trace id and span id, so that a repeated export counts once. Prompts and completions are dropped. " +
    "Protobuf or JSON, `Content-Encoding: gzip` or none. Refusals are google.rpc.Status in the request's encoding, and 503 says when to try again.",
  idempotency: "claim",
  refusals: {
    413: "Larger than 10 MB, or more than 10,000 records with usage.",
    415: "Another content type or encoding.",
    422: "`at-bound`: a customer holds as many events as it can.",
  },
} as const satisfies Partial<Route>;

export const otlp = {
  traces: {
    ...route,
    path: "/v1/traces",
    summary: "Take OpenTelemetry spans",
    body: {
      schema: z.looseObject({ resourceSpans: records("ResourceSpans") }).meta({ id: "ExportTraceServiceRequest" }),
      contentTypes: CONTENT_TYPES,
    },
    replies: { 200: { description: "Taken: durable and counted, or soon.", schema: answer("rejectedSpans") } },
  },
  logs: {
    ...route,
    path: "/v1/logs",
    summary: "Take OpenTelemetry log records",
    body: {
      schema: z.looseObject({ resourceLogs: records("ResourceLogs") }).meta({ id: "ExportLogsServiceRequest" }),
      contentTypes: CONTENT_TYPES,
    },
    replies: { 200: { description: "Taken: durable and counted, or soon.", schema: answer("rejectedLogRecords") } },
  },
} as const satisfies Resource;
