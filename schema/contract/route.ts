/**
 * What a route promises, as plain data: method, path, who may call it, what goes in and what comes out.
 * The router, the scope check, the body check, openapi.json and the tests that walk every route all read this one record.
 */
import type * as z from "zod";

/** None implies another. */
export const SCOPES = ["ingest", "read", "write", "billing", "admin"] as const;
export type Scope = (typeof SCOPES)[number];

/** A namespace key with this scope; the operator's key; or anybody. */
export type Access = Scope | "operator" | "public";

/**
 * Who keeps the promise of `Idempotency-Key`:
 * `object`: the customer's object, as an operation id, for the life of its data;
 * `store`: a row written in the same batch as the change, for 24 h;
 * `claim`: a row that ties the key to the body for 24 h, because repeating the call is harmless by itself;
 * `nothing`: the call changes nothing, so the header has nothing to protect.
 */
export type Idempotency = "object" | "store" | "claim" | "nothing";

export interface Body {
  schema: z.ZodType;
  /** Default: `application/json`. */
  contentTypes?: readonly string[];
  /** Where a content type takes less than `schema`. */
  contentSchemas?: { readonly [contentType: string]: z.ZodType };
  /** No body is as good as `{}`. */
  optional?: boolean;
}

/**
 * How a query parameter that is more than one text is written (OpenAPI's `style`):
 * `list`: the name repeated; `map`: `name[key]=value`, and `name[key][key]=value` below it; `json`: the value is JSON text, or written
 * as a map, which is how OpenMeter's client sends it.
 */
export type QueryStyle = "list" | "map" | "json";

export interface Reply {
  description: string;
  schema?: z.ZodType;
  /** Default: `application/json`. */
  contentType?: string;
}

export interface Route {
  method: "GET" | "POST" | "PUT" | "PATCH" | "DELETE";
  /** OpenAPI style: `/api/v1/wallets/{customer}`. */
  path: `/${string}`;
  access: Access;
  summary: string;
  description?: string;
  params?: z.ZodType;
  query?: z.ZodType;
  /** The parameters of `query` that are more than one text. */
  queryStyles?: { readonly [parameter: string]: QueryStyle };
  /** Browsers of any origin may call it (Fetch standard, "CORS protocol"): the caller proves itself by a token, never by a cookie. */
  cors?: true;
  body?: Body;
  /** Every POST has one. */
  idempotency?: Idempotency;
  /** By status, without refusals. */
  replies: { [status: number]: Reply };
  /** Problems that are this route's own, by status, with the codes that tell them apart. What follows from the fields above needs no entry. */
  refusals?: { readonly [status: number]: string };
}

/** The routes of one resource; the keys name the operations. */
export type Resource = { readonly [operation: string]: Route };
