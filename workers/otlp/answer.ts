/** OTLP's answers (OTLP/HTTP, "Response"), in the encoding of the request: how much was taken, or google.rpc.Status for what went wrong. */
import { BinaryWriter, WireType } from "@bufbuild/protobuf/wire";
import type { Problem } from "../api/problem";
import type { Signal } from "./record-reader";

export type Encoding = "protobuf" | "json";

export const CONTENT_TYPES = { protobuf: "application/x-protobuf", json: "application/json" } as const;

/** What was left out of an export, and why. */
export interface Rejected {
  count: number;
  message: string;
}

const REJECTED_FIELD = { traces: "rejectedSpans", logs: "rejectedLogRecords" } as const satisfies Record<
  Signal,
  string
>;

/** ExportTraceServiceResponse, ExportLogsServiceResponse: `partial_success` is field 1, in it the count 1 and the message 2. */
export function exportAnswer(signal: Signal, encoding: Encoding, rejected: Rejected | null): Response {
  if (encoding === "json") {
    const partialSuccess = rejected && {
      // 64 bits are text in protobuf's JSON.
      [REJECTED_FIELD[signal]]: String(rejected.count),
      errorMessage: rejected.message,
    };
    return answer(200, encoding, JSON.stringify(partialSuccess === null ? {} : { partialSuccess }));
  }
  const writer = new BinaryWriter();
  if (rejected !== null) {
    writer.tag(1, WireType.LengthDelimited).fork();
    writer.tag(1, WireType.Varint).int64(rejected.count);
    writer.tag(2, WireType.LengthDelimited).string(rejected.message);
    writer.join();
  }
  return answer(200, encoding, writer.finish());
}

/** google.rpc.Code. */
const CODES: Record<number, number> = { 400: 3, 401: 16, 403: 7, 404: 5, 409: 6, 413: 3, 415: 3, 422: 9, 503: 14 };
const UNKNOWN_CODE = 2;

export function statusAnswer(encoding: Encoding, { status, message, headers }: Problem): Response {
  const code = CODES[status] ?? UNKNOWN_CODE;
  if (encoding === "json") return answer(status, encoding, JSON.stringify({ code, message }), headers);
  const writer = new BinaryWriter();
  writer.tag(1, WireType.Varint).int32(code);
  writer.tag(2, WireType.LengthDelimited).string(message);
  return answer(status, encoding, writer.finish(), headers);
}

const answer = (status: number, encoding: Encoding, body: BodyInit, headers: Record<string, string> = {}): Response =>
  new Response(body, { status, headers: { ...headers, "content-type": CONTENT_TYPES[encoding] } });
