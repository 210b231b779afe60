/**
 * Reads export requests in JSON: protobuf's own mapping, but ids in hex (OTLP, "JSON Protobuf Encoding"). Names are those in camel case;
 * 64-bit numbers are text or numbers, exact either way. Unknown fields are stepped over.
 */
import { isInteresting, type AttributeValue } from "../../core/gen-ai";
import { double, integer, msOf, Undecodable, type Signal, type Visit } from "./record-reader";

const NAMES = {
  traces: {
    resources: "resourceSpans",
    scopes: "scopeSpans",
    records: "spans",
    times: ["endTimeUnixNano", "startTimeUnixNano"],
  },
  logs: {
    resources: "resourceLogs",
    scopes: "scopeLogs",
    records: "logRecords",
    times: ["timeUnixNano", "observedTimeUnixNano"],
  },
} as const satisfies Record<Signal, object>;

type Message = { readonly [field: string]: unknown };

/** `body` is what core/exact-json read. */
export function readJsonExport(signal: Signal, body: unknown, visit: Visit): void {
  const names = NAMES[signal];
  for (const group of messages(message(body, "the body"), names.resources)) {
    const resource = attributesIn(message(group.resource ?? {}, "resource"));
    for (const scope of messages(group, names.scopes)) {
      for (const record of messages(scope, names.records)) {
        const [at = null] = names.times.map((name) => msOf(nanosIn(record, name))).filter((ms) => ms !== null);
        visit({
          resource,
          attributes: attributesIn(record),
          traceId: idIn(record, "traceId"),
          spanId: idIn(record, "spanId"),
          at,
        });
      }
    }
  }
}

function message(value: unknown, what: string): Message {
  if (typeof value !== "object" || value === null || Array.isArray(value) || JSON.isRawJSON(value))
    throw new Undecodable(`${what} must be a JSON object`);
  return value as Message;
}

function messages(parent: Message, name: string): Message[] {
  const list = parent[name] ?? [];
  if (!Array.isArray(list)) throw new Undecodable(`${name} must be a list`);
  return list.map((each: unknown) => message(each, `each of ${name}`));
}

function attributesIn(parent: Message): Map<string, AttributeValue> {
  const attributes = new Map<string, AttributeValue>();
  for (const { key, value } of messages(parent, "attributes")) {
    if (typeof key !== "string") throw new Undecodable("an attribute's key must be text");
    if (isInteresting(key)) attributes.set(key, valueIn(message(value ?? {}, "an attribute's value")));
  }
  return attributes;
}

function valueIn({ stringValue, intValue, doubleValue }: Message): AttributeValue {
  if (stringValue !== undefined) {
    if (typeof stringValue !== "string") throw new Undecodable("stringValue must be text");
    return stringValue;
  }
  if (intValue !== undefined) return integer(bigint(intValue, "intValue"));
  if (doubleValue === undefined) return null;
  // NaN and the infinities are text here.
  if (typeof doubleValue === "string") return double(Number(doubleValue));
  if (JSON.isRawJSON(doubleValue)) return doubleValue;
  if (typeof doubleValue !== "number") throw new Undecodable("doubleValue must be a number");
  return double(doubleValue);
}

function nanosIn(record: Message, name: string): bigint {
  const value = record[name] ?? 0;
  return bigint(value, name);
}

const INTEGER = /^-?\d{1,20}$/;

function bigint(value: unknown, name: string): bigint {
  const text = JSON.isRawJSON(value) ? value.rawJSON : String(value);
  if ((typeof value !== "string" && typeof value !== "number" && typeof value !== "object") || !INTEGER.test(text))
    throw new Undecodable(`${name} must be a 64-bit whole number`);
  return BigInt(text);
}

function idIn(record: Message, name: string): string {
  const id = record[name] ?? "";
  if (typeof id !== "string") throw new Undecodable(`${name} must be text in hex`);
  return id.toLowerCase();
}
