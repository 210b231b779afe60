/**
 * Reads export requests in protobuf, on the wire reader of @bufbuild/protobuf. The numbers are those of opentelemetry-proto 1.x, which
 * never change. What is of no interest is stepped over unread: a prompt of a megabyte costs nothing, and is nowhere in memory as text.
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

interface RecordFields {
  traceId: number;
  spanId: number;
  attributes: number;
  /** The one that says when it was, and the one that stands in for it. */
  time: number;
  otherTime: number;
}

const RECORD: Record<Signal, RecordFields> = {
  // The end of a span, else its start.
  traces: { traceId: 1, spanId: 2, attributes: 9, time: 8, otherTime: 7 },
  // When it happened, else when it was seen.
  logs: { traceId: 9, spanId: 10, attributes: 6, time: 1, otherTime: 11 },
};

export function readProtobuf(signal: Signal, bytes: Uint8Array, visit: Visit): void {
  try {
    new ExportReader(bytes, RECORD[signal], visit).read();
  } catch (error) {
    // So the wire reader calls what is cut off or no protobuf at all; what we visit throws problems of its own.
    if (error instanceof RangeError || (error instanceof Error && error.constructor === Error))
      throw new Undecodable(error.message);
    throw error;
  }
}

/** One reader for the whole body; a message is a stretch of it, from where the reader stands to `end`. */
class ExportReader {
  private readonly wire: BinaryReader;

  constructor(
    bytes: Uint8Array,
    private readonly fields: RecordFields,
    private readonly visit: Visit,
  ) {
    this.wire = new BinaryReader(bytes);
  }

  read(): void {
    this.messages(this.wire.len, REQUEST.resources, (end) => this.resource(end));
  }

  private resource(end: number): void {
    const { wire } = this;
    const start = wire.pos;
    const resource = new Map<string, AttributeValue>();
    // It may come behind the records.
    this.messages(end, RESOURCE_RECORDS.resource, (inner) =>
      this.messages(inner, RESOURCE.attributes, (attribute) => this.attribute(attribute, resource)),
    );
    wire.pos = start;
    this.messages(end, RESOURCE_RECORDS.scopes, (scope) =>
      this.messages(scope, SCOPE_RECORDS.records, (record) => this.record(record, resource)),
    );
  }

  private record(end: number, resource: ReadonlyMap<string, AttributeValue>): void {
    const { wire, fields } = this;
    const attributes = new Map<string, AttributeValue>();
    let traceId = "";
    let spanId = "";
    let time = 0n;
    let otherTime = 0n;
    while (wire.pos < end) {
      const [field, type] = wire.tag();
      if (type === WireType.LengthDelimited && field === fields.attributes) this.attribute(this.inner(end), attributes);
      else if (type === WireType.LengthDelimited && field === fields.traceId) traceId = this.hex(end);
      else if (type === WireType.LengthDelimited && field === fields.spanId) spanId = this.hex(end);
      else if (type === WireType.Bit64 && field === fields.time) time = BigInt(wire.fixed64());
      else if (type === WireType.Bit64 && field === fields.otherTime) otherTime = BigInt(wire.fixed64());
      else wire.skip(type, field);
    }
    this.ended(end);
    this.visit({ resource, attributes, traceId, spanId, at: msOf(time) ?? msOf(otherTime) });
  }

  private attribute(end: number, into: Map<string, AttributeValue>): void {
    const { wire } = this;
    let key = "";
    let value = -1;
    let valueEnd = -1;
    while (wire.pos < end) {
      const [field, type] = wire.tag();
      if (type === WireType.LengthDelimited && field === KEY_VALUE.key) {
        this.within(end);
        key = wire.string();
      } else if (type === WireType.LengthDelimited && field === KEY_VALUE.value) {
        valueEnd = this.inner(end);
        value = wire.pos;
        wire.pos = valueEnd;
      } else wire.skip(type, field);
    }
    this.ended(end);
    if (value < 0 || !isInteresting(key)) return;
    wire.pos = value;
    into.set(key, this.value(valueEnd));
    wire.pos = end;
  }

  private value(end: number): AttributeValue {
    const { wire } = this;
    let value: AttributeValue = null;
    while (wire.pos < end) {
      const [field, type] = wire.tag();
      if (field === ANY_VALUE.string && type === WireType.LengthDelimited) {
        this.within(end);
        value = wire.string();
      } else if (field === ANY_VALUE.int && type === WireType.Varint) value = integer(BigInt(wire.int64()));
      else if (field === ANY_VALUE.double && type === WireType.Bit64) value = double(wire.double());
      else wire.skip(type, field);
    }
    this.ended(end);
    return value;
  }

  /** Calls `visit` for each message in this field, with its end; every other field is stepped over. */
  private messages(end: number, wanted: number, visit: (end: number) => void): void {
    const { wire } = this;
    while (wire.pos < end) {
      const [field, type] = wire.tag();
      if (field === wanted && type === WireType.LengthDelimited) visit(this.inner(end));
      else wire.skip(type, field);
    }
    this.ended(end);
  }

  private hex(end: number): string {
    this.within(end);
    return Buffer.from(this.wire.bytes()).toString("hex");
  }

  /** The end of the message that begins here; it lies within the one around it. */
  private inner(end: number): number {
    const length = this.wire.uint32();
    const inner = this.wire.pos + length;
    if (inner > end) throw new Undecodable(CUT_OFF);
    return inner;
  }

  /** The same of text and bytes, which the wire reader reads itself. */
  private within(end: number): void {
    const { wire } = this;
    const start = wire.pos;
    this.inner(end);
    wire.pos = start;
  }

  private ended(end: number): void {
    if (this.wire.pos !== end) throw new Undecodable(CUT_OFF);
  }
}

const CUT_OFF = "a message is longer than the one around it";
