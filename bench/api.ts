/** The calls that set a figure up. Load goes through load.ts. */
import { BURN_TABLE } from "./bodies";
import type { Instance } from "./instance";

/** What the launcher seeds. */
export const AUTHORIZATION = "Bearer tg_local";

export interface Api {
  get<T>(path: string): Promise<T>;
  post<T>(path: string, body: unknown): Promise<T>;
}

export function apiOf({ port }: Pick<Instance, "port">): Api {
  const call = async <T>(method: string, path: string, body?: unknown): Promise<T> => {
    const response = await fetch(`http://127.0.0.1:${port}${path}`, {
      method,
      headers: { authorization: AUTHORIZATION, ...(body === undefined ? {} : { "content-type": "application/json" }) },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    const text = await response.text();
    if (!response.ok) throw new Error(`${method} ${path}: ${response.status} ${text}`);
    return JSON.parse(text) as T;
  };
  return { get: (path) => call("GET", path), post: (path, body) => call("POST", path, body) };
}

/** Prices everything that bodies.ts sends. The isolate that publishes a table knows it at once. */
export const publishPrices = (api: Api): Promise<unknown> => api.post("/api/v1/burn-tables", BURN_TABLE);

export const grant = (api: Api, customer: string, amount: number): Promise<unknown> =>
  api.post(`/api/v1/wallets/${customer}/grants`, { amount: String(amount), kind: "paid" });
