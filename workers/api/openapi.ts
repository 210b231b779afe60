/** Prints the contract as OpenAPI 3.1, whose schemas are JSON Schema as zod writes it; schemas that have an id become components. */
import * as z from "zod";
import { problem } from "../../schema/contract/problem";
import type { Access, Body, Reply, Resource, Route } from "../../schema/contract/route";

type Json = { [key: string]: unknown };

const COMPONENTS = "#/components/schemas/";

/** Made at the first request and kept: a deployment's contract never changes. */
export function openApi(contract: { [resource: string]: Resource }): () => string {
  let text: string | null = null;
  return () => (text ??= JSON.stringify(openApiDocument(contract)));
}

export function openApiDocument(contract: { [resource: string]: Resource }): Json {
  const schemas: Json = {};
  const schemaOf = (schema: z.ZodType, io: "input" | "output"): Json => {
    const {
      $schema: _,
      $defs = {},
      ...json
    } = z.toJSONSchema(schema, { io, unrepresentable: "any" }) as Json & { $defs?: Json };
    for (const [id, definition] of Object.entries($defs)) schemas[id] = inComponents(definition as Json);
    return inComponents(json);
  };
  // Inside another schema it is printed as a component, and referred to.
  const { properties } = schemaOf(z.object({ problem }), "output") as { properties: { problem: Json } };
  const problemReply = (description: string): Json => ({
    description,
    content: { "application/problem+json": { schema: properties.problem } },
  });

  const paths: { [path: string]: Json } = {};
  for (const [resource, routes] of Object.entries(contract)) {
    for (const [operation, route] of Object.entries(routes)) {
      (paths[route.path] ??= {})[route.method.toLowerCase()] = {
        operationId: `${resource}.${operation}`,
        tags: [resource],
        summary: route.summary,
        ...(route.description && { description: route.description }),
        security: securityOf(route.access),
        parameters: [
          ...parametersOf(route.params && schemaOf(route.params, "input"), "path"),
          ...parametersOf(route.query && schemaOf(route.query, "input"), "query", route.queryStyles),
          ...(route.idempotency !== undefined && route.idempotency !== "nothing" ? [IDEMPOTENCY_KEY] : []),
        ],
        ...(route.body && {
          requestBody: {
            required: route.body.optional !== true,
            content: bodyOf(route.body, (schema) => schemaOf(schema, "input")),
          },
        }),
        responses: {
          ...Object.fromEntries(
            Object.entries(route.replies).map(([status, reply]) => [status, replyOf(reply, schemaOf)]),
          ),
          ...Object.fromEntries(refusalsOf(route).map(([status, said]) => [status, problemReply(said)])),
          ...(route.access !== "public" && { default: problemReply("Any other refusal.") }),
        },
      };
    }
  }
  return {
    openapi: "3.1.0",
    info: {
      title: "Tollgate",
      version: "1",
      description: "Metering, prepaid wallets and enforced quotas.",
      license: { name: "Apache-2.0", identifier: "Apache-2.0" },
    },
    servers: [{ url: "/" }],
    paths,
    components: {
      schemas,
      securitySchemes: {
        apiKey: {
          type: "http",
          scheme: "bearer",
          description: "An API key of a namespace (`tg_…`). Each operation names the scope it needs.",
        },
        operatorKey: { type: "http", scheme: "bearer", description: "The operator's key of this deployment." },
      },
    },
  };
}

/** Zod's own place for shared schemas is `$defs` of each document. */
const inComponents = (json: Json): Json =>
  JSON.parse(JSON.stringify(json).replaceAll('"#/$defs/', `"${COMPONENTS}`)) as Json;

function securityOf(access: Access): Json[] {
  if (access === "public") return [];
  return access === "operator" ? [{ operatorKey: [] }] : [{ apiKey: [access] }];
}

const IDEMPOTENCY_KEY: Json = {
  name: "Idempotency-Key",
  in: "header",
  required: false,
  description: "For 24 hours the same key answers the same request once; with another body it is a 409.",
  schema: { type: "string", minLength: 1, maxLength: 255 },
};

function parametersOf(schema: Json | undefined, where: "path" | "query", styles: Route["queryStyles"] = {}): Json[] {
  const required = (schema?.required ?? []) as string[];
  return Object.entries((schema?.properties ?? {}) as { [name: string]: Json }).map(([name, property]) => ({
    name,
    in: where,
    required: where === "path" || required.includes(name),
    ...(styles[name] === "json" ? { content: { "application/json": { schema: property } } } : { schema: property }),
    ...(styles[name] === "list" && { style: "form", explode: true }),
    ...(styles[name] === "map" && { style: "deepObject", explode: true }),
  }));
}

const bodyOf = (
  { schema, contentTypes = ["application/json"], contentSchemas = {} }: Body,
  schemaOf: (schema: z.ZodType) => Json,
): Json => Object.fromEntries(contentTypes.map((type) => [type, { schema: schemaOf(contentSchemas[type] ?? schema) }]));

/** What the router can answer for a route, then what the route says of itself. */
function refusalsOf({ access, params, query, body, idempotency, refusals }: Route): [status: string, said: string][] {
  // What opens a public route, if anything does, is its own business.
  if (access === "public") return Object.entries(refusals ?? {});
  const said: { [status: number]: string } = { 401: "No key, or one that does not open this." };
  if (params || query || body || idempotency)
    said[400] = "Something in the request is wrong; `validationErrors` says what.";
  if (access !== "operator") said[403] = "`missing-scope`: the key may not do this.";
  if (params) said[404] = "What the path names does not exist.";
  if (idempotency && idempotency !== "nothing")
    said[409] = "`idempotency-conflict`: the Idempotency-Key was used for another request.";
  return Object.entries({ ...said, ...refusals });
}

const replyOf = (
  { description, schema, contentType = "application/json" }: Reply,
  schemaOf: (schema: z.ZodType, io: "output") => Json,
): Json => ({
  description,
  ...(schema && { content: { [contentType]: { schema: schemaOf(schema, "output") } } }),
});
