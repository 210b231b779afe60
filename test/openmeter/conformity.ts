/**
 * Whether an answer is one that OpenMeter's OpenAPI document allows: status, content type and body. It reads the reduced
 * document beside it (README.md) and knows nothing of Tollgate. What it finds is thrown, so the test that asked fails.
 */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import Ajv, { type ValidateFunction } from "ajv";
import addFormats from "ajv-formats";

/** Where OpenMeter's code answers otherwise than its document says: its users see the code, so the code is followed. */
export const CODE_WINS = [
  {
    operation: "createMeter",
    document: "201",
    code: "200",
    why: "the handler answers a created meter with 200, and OpenMeter's end-to-end tests assert it",
  },
] as const;

interface Operation {
  operationId: string;
  responses: Record<string, Record<string, object>>;
}
interface Document {
  paths: Record<string, Record<string, Operation>>;
}

export interface Answer {
  method: string;
  /** Without the query. */
  path: string;
  status: number;
  contentType: string | null;
  body: string;
}

const document = JSON.parse(readFileSync(join(import.meta.dirname, "openapi.json"), "utf8")) as Document;
const ajv = new Ajv({ allErrors: true, strict: true, strictRequired: false, unicodeRegExp: false });
addFormats(ajv);
ajv.addVocabulary(["info", "paths", "components"]);
ajv.addSchema(document, "openapi");

/** A literal path before one with a parameter in the same place: `/portal/tokens` is no `/portal/{id}`. */
const ROUTES = Object.keys(document.paths)
  .toSorted((a, b) => a.split("{").length - b.split("{").length)
  .map((path) => ({ path, pattern: new RegExp(`^${path.replaceAll(/\{[^}]+\}/g, "[^/]+")}$`) }));
const validators = new Map<string, ValidateFunction>();

export class NotConforming extends Error {
  override name = "NotConforming";
}

export function checkAnswer(answer: Answer): void {
  const { method, path, status, contentType, body } = answer;
  const refuse = (what: string): never => {
    throw new NotConforming(`${method} ${path} answered ${status}: ${what}. Body: ${body.slice(0, 2_000)}`);
  };
  if (status === 500) refuse("the server broke");
  const route = ROUTES.find(({ pattern }) => pattern.test(path))?.path;
  const operation = route && document.paths[route]![method.toLowerCase()];
  if (route === undefined || !operation) return refuse("the document has no such operation");

  const documented = documentedStatus(operation, status);
  if (documented === undefined) return refuse(`${operation.operationId} has no such answer`);
  const contents = operation.responses[documented]!;
  const types = Object.keys(contents);
  if (types.length === 0) {
    if (body !== "") refuse("a body, where there is none");
    return;
  }
  const type = types.find((each) => isContent(each, contentType));
  if (type === undefined) return refuse(`content type ${contentType}, not ${types.join(" or ")}`);
  if (!type.endsWith("json")) return;

  const validate = validator(route, method.toLowerCase(), documented, type);
  const value: unknown = JSON.parse(body);
  if (!validate(value)) {
    refuse(ajv.errorsText(validate.errors, { dataVar: "body" }) + extra(validate));
  }
  if (type === "application/problem+json") checkProblem(value as Record<string, unknown>, status, refuse);
}

function documentedStatus({ operationId, responses }: Operation, status: number): string | undefined {
  const deviation = CODE_WINS.find(({ operation }) => operation === operationId);
  if (deviation?.code === String(status)) return deviation.document;
  if (deviation?.document === String(status)) return undefined;
  if (responses[status] !== undefined) return String(status);
  return status >= 400 && responses.default !== undefined ? "default" : undefined;
}

/** A problem's is compared exactly, because the client does; other types may carry parameters. */
function isContent(type: string, contentType: string | null): boolean {
  return type === "application/problem+json" ? contentType === type : contentType?.split(";")[0] === type;
}

function validator(route: string, method: string, status: string, type: string): ValidateFunction {
  const pointer = ["paths", route, method, "responses", status, type].map(escapePointer).join("/");
  const known = validators.get(pointer);
  if (known !== undefined) return known;
  const made = ajv.compile({ $ref: `openapi#/${pointer}` });
  validators.set(pointer, made);
  return made;
}

const escapePointer = (name: string): string => encodeURIComponent(name.replaceAll("~", "~0").replaceAll("/", "~1"));

/** ajv's own text does not say which property it is that should not be there. */
function extra({ errors }: ValidateFunction): string {
  const names = (errors ?? []).flatMap(({ params }) =>
    "additionalProperty" in params ? [String(params.additionalProperty)] : [],
  );
  return names.length === 0 ? "" : ` (${names.join(", ")})`;
}

/** What openmeter.md says of every problem beyond the document. */
function checkProblem(problem: Record<string, unknown>, status: number, refuse: (what: string) => never): void {
  if (problem.status !== status) refuse(`the problem says ${String(problem.status)}`);
  if (problem.detail === "") refuse("the problem has no detail");
  if (!String(problem.instance).startsWith("urn:request:")) refuse(`the instance is ${String(problem.instance)}`);
}
