/**
 * Reads export requests in protobuf, on the wire reader of @bufbuild/protobuf. The numbers are those of opentelemetry-proto 1.x, which
 * never change. What is of no interest is stepped over unread: a prompt of a megabyte costs nothing, and is nowhere in memory.
 */
import { BinaryReader, WireType } from "@bufbuild/protobuf/wire";
import { isInteresting, type AttributeValue } from "../../core/gen-ai";
import { double, integer, msOf, Undecodable, type Signal, type Visit } from "./record-reader";

/** Of ExportTraceServiceRequest and ExportLogsServiceRequest, and what is in them down to the records. */
const REQUEST = { resources: 1 };
const RESOURCE_RECORDS = { resource: 1, scopes: 2 };
const RESOURCE = { attributes: 1 };
const SCOPE_RECORDS = { records: 2 };
const KEY_VALUE = { key: 1, value: 2 };
const ANY_VALUE = { string: 1, int: 3, double: 4 };

const RECORD = {
  traces: { traceId: 1, spanId: 2, attributes: 9, /** End, start. */ times: [8, 7] },
  logs: { traceId: 9, spanId: 10, attributes: 6, /** When it happened, when it was seen. */ times: [1, 11] },
} as const satisfies Record<Signal, object>;

export function readProtobuf(signal: Signal, bytes: Uint8Array, visit: Visit): void {
  try {
    eachMessage(bytes, REQUEST.resources, (group) => {
      const resource = new Map<string, AttributeValue>();
      // It may come behind the records.
      eachMessage(group, RESOURCE_RECORDS.resource, (message) =>
        readAttributes(message, RESOURCE.attributes, resource),
      );
      eachMessage(group, RESOURCE_RECORDS.scopes, (scope) =>
        eachMessage(scope, SCOPE_RECORDS.records, (record) => visit({ resource, ...readRecord(signal, record) })),
      );
    });
  } catch (error) {
    // The wire reader throws for whatever is cut off or no protobuf at all; what we visit throws problems of its own.
    if (error instanceof RangeError || (error instanceof Error && error.constructor === Error))
      throw new Undecodable(error.message);
    throw error;
  }
}

function readRecord(signal: Signal, bytes: Uint8Array) {
  const fields = RECORD[signal];
  const attributes = new Map<string, AttributeValue>();
  const record = { attributes, traceId: "", spanId: "", at: null as number | null };
  const times: [number, bigint][] = [];
  eachField(bytes, (field, type, reader) => {
    if (type === WireType.LengthDelimited && (field === fields.traceId || field === fields.spanId)) {
      record[field === fields.traceId ? "traceId" : "spanId"] = Buffer.from(reader.bytes()).toString("hex");
    } else if (type === WireType.LengthDelimited && field === fields.attributes) {
      readAttribute(reader.bytes(), attributes);
    } else if (type === WireType.Bit64 && (field === fields.times[0] || field === fields.times[1])) {
      times.push([field, BigInt(reader.fixed64())]);
    } else return false;
    return true;
  });
  for (const wanted of fields.times) record.at ??= msOf(times.find(([field]) => field === wanted)?.[1] ?? 0n);
  return record;
}

function readAttributes(bytes: Uint8Array, wanted: number, into: Map<string, AttributeValue>): void {
  eachMessage(bytes, wanted, (attribute) => readAttribute(attribute, into));
}

function readAttribute(bytes: Uint8Array, into: Map<string, AttributeValue>): void {
  let key = "";
  let value: Uint8Array | null = null;
  eachField(bytes, (field, type, reader) => {
    if (type !== WireType.LengthDelimited) return false;
    if (field === KEY_VALUE.key) key = reader.string();
    else if (field === KEY_VALUE.value) value = reader.bytes();
    else return false;
    return true;
  });
  if (value !== null && isInteresting(key)) into.set(key, readValue(value));
}

function readValue(bytes: Uint8Array): AttributeValue {
  let value: AttributeValue = null;
  eachField(bytes, (field, type, reader) => {
    if (field === ANY_VALUE.string && type === WireType.LengthDelimited) value = reader.string();
    else if (field === ANY_VALUE.int && type === WireType.Varint) value = integer(BigInt(reader.int64()));
    else if (field === ANY_VALUE.double && type === WireType.Bit64) value = double(reader.double());
    else return false;
    return true;
  });
  return value;
}

const eachMessage = (bytes: Uint8Array, wanted: number, visit: (message: Uint8Array) => void): void =>
  eachField(bytes, (field, type, reader) => {
    if (field !== wanted || type !== WireType.LengthDelimited) return false;
    visit(reader.bytes());
    return true;
  });

/** `visit` answers whether it has read the field; a field of a number or a type that it does not know is stepped over. */
function eachField(bytes: Uint8Array, visit: (field: number, type: WireType, reader: BinaryReader) => boolean): void {
  const reader = new BinaryReader(bytes);
  while (reader.pos < reader.len) {
    const [field, type] = reader.tag();
    if (!visit(field, type, reader)) reader.skip(type, field);
  }
}
