/** The check itself: an answer that OpenMeter's document does not allow must not pass, or the suite proves nothing. */
import { expect, it } from "vitest";
import { type Answer, checkAnswer } from "./conformity";

const meter = {
  id: "01G65Z755AFWAKHE12NY0CQ9FH",
  createdAt: "2025-01-01T00:00:00Z",
  updatedAt: "2025-01-01T00:00:00Z",
  slug: "tokens",
  aggregation: "COUNT",
  eventType: "prompt",
  metadata: null,
};
const problem = { type: "about:blank", title: "Not Found", status: 404, detail: "no meter", instance: "urn:request:1" };

const answer = (status: number, body: unknown, change: Partial<Answer> = {}): Answer => ({
  method: "GET",
  path: "/api/v1/meters/tokens",
  status,
  contentType: status < 400 ? "application/json" : "application/problem+json",
  body: body === undefined ? "" : JSON.stringify(body),
  ...change,
});

it.each([
  ["a body of the document", answer(200, meter)],
  ["a problem of the document", answer(404, problem)],
  ["a problem with further members", answer(404, { ...problem, evidence: 1 })],
  ["a status the document leaves to its default", answer(409, { ...problem, status: 409 })],
  ["no body where there is none", answer(204, undefined, { method: "DELETE", contentType: null })],
  ["parameters of a content type", answer(200, meter, { contentType: "application/json; charset=utf-8" })],
  ["the code's status where it differs", answer(200, meter, { method: "POST", path: "/api/v1/meters" })],
])("allows %s", (_, allowed) => {
  expect(() => checkAnswer(allowed)).not.toThrow();
});

it.each([
  [
    "a property that the document does not know",
    answer(200, { ...meter, extra: 1 }),
    /additional properties \(extra\)/,
  ],
  ["a property that is missing", answer(200, { ...meter, slug: undefined }), /required property 'slug'/],
  ["null where it is not nullable", answer(200, { ...meter, name: null }), /name must be string/],
  ["a number for a string", answer(200, { ...meter, slug: 7 }), /slug must be string/],
  ["a time without a zone", answer(200, { ...meter, createdAt: "2025-01-01T00:00:00" }), /createdAt must match format/],
  ["an id that is no ULID", answer(200, { ...meter, id: "1" }), /id must match pattern/],
  ["a value outside of its enum", answer(200, { ...meter, aggregation: "MEDIAN" }), /aggregation/],
  ["a status of success that the document does not have", answer(202, meter), /no such answer/],
  [
    "the document's status where the code's differs",
    answer(201, meter, { method: "POST", path: "/api/v1/meters" }),
    /no such answer/,
  ],
  ["another content type", answer(200, meter, { contentType: "text/html" }), /content type/],
  [
    "a problem whose content type has parameters",
    answer(404, problem, { contentType: "application/problem+json; charset=utf-8" }),
    /content type/,
  ],
  ["a problem that says another status", answer(404, { ...problem, status: 400 }), /says 400/],
  ["a problem without a detail", answer(404, { ...problem, detail: "" }), /no detail/],
  ["a body where there is none", answer(204, {}, { method: "DELETE" }), /a body/],
  ["a broken server", answer(500, { ...problem, status: 500 }), /broke/],
  ["a path that the document does not know", answer(200, meter, { path: "/api/v1/gauges" }), /no such operation/],
])("refuses %s", (_, wrong, message) => {
  expect(() => checkAnswer(wrong)).toThrow(message);
});
