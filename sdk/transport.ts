/**
 * One HTTP call that is made until it is answered or given up: the body and its keys are fixed before the first attempt,
 * so an attempt whose answer was lost and its repeat are the same call to the server, and retrying is harmless.
 * Knows the wire (headers, problems, timeouts) and the retry policy; knows no resource.
 */
import { errorOf, InvalidInputError, NetworkError, TollgateError, type Problem } from "./errors";
import { writeExactJson } from "./exact-json";
import { parseRetryAfterMs, retryDelayMs, type RetryPolicy } from "./retry";
import type { Runtime } from "./runtime";

/** What a caller may say about a single call. */
export interface CallOptions {
  /** Aborts the call and its waits; the promise rejects with the signal's reason. */
  signal?: AbortSignal;
  /** Of each attempt. */
  timeoutMs?: number;
  /** Instead of a generated one, so that your own retry (after a crash, say) is the same operation. Kept for 24 h. */
  idempotencyKey?: string;
}

export interface Request {
  method: "GET" | "POST" | "PUT" | "PATCH" | "DELETE";
  path: string;
  query?: { [name: string]: string | number | boolean | undefined };
  /** A value to write as JSON, or JSON that is written already. */
  body?: unknown;
  json?: string;
  contentType?: string;
  /** The operation has no id in its body: send an Idempotency-Key. */
  keyed?: boolean;
}

export interface TransportConfig {
  baseUrl: string;
  apiKey: string;
  timeoutMs: number;
  retry: RetryPolicy;
}

/** A path from a template: each value is one segment, whatever it contains. */
export function path(parts: TemplateStringsArray, ...values: string[]): string {
  return parts.reduce((whole, part, index) => {
    const value = values[index - 1];
    // The URL parser resolves "." and "..", even percent-encoded: another resource than the one meant would be asked.
    if (typeof value !== "string" || value === "" || value === "." || value === "..") {
      throw new InvalidInputError(
        `"${String(value)}" cannot be addressed: a name is a string other than "", "." and "..".`,
      );
    }
    return whole + encodeURIComponent(value) + part;
  });
}

export class Transport {
  readonly runtime: Runtime;
  /** Private to the language and not only to the compiler: whoever logs a client logs no key. */
  readonly #config: TransportConfig;

  constructor(config: TransportConfig, runtime: Runtime) {
    this.#config = config;
    this.runtime = runtime;
  }

  /** The parsed answer of a call; `undefined` for 204. Rejects with a `TollgateError`, or the reason of `signal`. */
  async send<T>(request: Request, options: CallOptions = {}): Promise<T> {
    const { runtime } = this;
    const config = this.#config;
    const { url, init } = this.#prepare(request, options);
    const startedMs = runtime.now();
    let last: TollgateError | null = null;
    for (let attempt = 1; ; attempt++) {
      options.signal?.throwIfAborted();
      const leftMs = config.retry.totalMs - (runtime.now() - startedMs);
      // A timer may oversleep (a laptop lid, a busy event loop): the error already known beats "no time left".
      if (last !== null && leftMs <= 0) throw last;
      const outcome = await this.#attempt(
        url,
        init,
        Math.min(options.timeoutMs ?? config.timeoutMs, leftMs),
        options.signal,
      );
      if (outcome.ok) return outcome.value as T;
      // What a repeated DELETE does not find, the attempt before it has deleted.
      if (request.method === "DELETE" && attempt > 1 && outcome.error.status === 404) return undefined as T;
      const delayMs = retryDelayMs(config.retry, outcome.error, attempt, runtime.now() - startedMs, runtime.random);
      if (delayMs === null) throw outcome.error;
      last = outcome.error;
      await this.#wait(delayMs, options.signal);
    }
  }

  #prepare(request: Request, options: CallOptions): { url: string; init: RequestInit } {
    const query = new URLSearchParams();
    for (const [name, value] of Object.entries(request.query ?? {})) {
      if (value !== undefined) query.set(name, String(value));
    }
    const headers: Record<string, string> = {
      accept: "application/json",
      authorization: `Bearer ${this.#config.apiKey}`,
    };
    const json = request.json ?? (request.body === undefined ? undefined : writeExactJson(request.body));
    if (json !== undefined) headers["content-type"] = request.contentType ?? "application/json";
    const key = options.idempotencyKey ?? (request.keyed ? this.runtime.newId() : undefined);
    if (key !== undefined) headers["idempotency-key"] = key;
    const init: RequestInit = { method: request.method, headers };
    if (json !== undefined) init.body = json;
    const search = query.toString();
    return { url: this.#config.baseUrl + request.path + (search === "" ? "" : `?${search}`), init };
  }

  async #attempt(
    url: string,
    init: RequestInit,
    timeoutMs: number,
    signal: AbortSignal | undefined,
  ): Promise<{ ok: true; value: unknown } | { ok: false; error: TollgateError }> {
    // Not AbortSignal.any and .timeout: those keep a listener and a timer alive after the answer, and Node 20.0 lacks one.
    const controller = new AbortController();
    const abort = () => controller.abort(signal?.reason);
    signal?.addEventListener("abort", abort, { once: true });
    const cancel = this.runtime.after(timeoutMs, () => controller.abort());
    // Called detached: a browser's fetch refuses to be called as a method of anything but the window.
    const { fetch } = this.runtime;
    try {
      const response = await fetch(url, { ...init, signal: controller.signal });
      const text = await response.text();
      return response.ok
        ? { ok: true, value: parse(response, text) }
        : { ok: false, error: this.#refusal(response, text) };
    } catch (cause) {
      if (cause instanceof TollgateError) throw cause;
      if (signal?.aborted) throw signal.reason;
      const { origin } = new URL(url);
      const said = cause instanceof Error ? cause.message : String(cause);
      const detail = controller.signal.aborted
        ? `${origin} did not answer within ${timeoutMs} ms.`
        : `${origin} is out of reach: ${said}`;
      return { ok: false, error: new NetworkError(detail, cause) };
    } finally {
      cancel();
      signal?.removeEventListener("abort", abort);
    }
  }

  #refusal(response: Response, text: string): TollgateError {
    let problem: Problem = {};
    try {
      const body: unknown = JSON.parse(text);
      if (typeof body === "object" && body !== null && !Array.isArray(body)) problem = body as Problem;
    } catch {
      // Not ours: a proxy's page. The status and the code http-<status> say what there is to say.
    }
    return errorOf({
      status: response.status,
      problem,
      requestId: /^urn:request:(.+)$/.exec(String(problem.instance))?.[1] ?? null,
      retryAfterMs: parseRetryAfterMs(response.headers.get("retry-after"), this.runtime.now()),
    });
  }

  /** Resolves after `delayMs`; rejects at once when the caller aborts. */
  #wait(delayMs: number, signal: AbortSignal | undefined): Promise<void> {
    return new Promise((resolve, reject) => {
      const abort = () => {
        cancel();
        reject(signal?.reason as Error);
      };
      const cancel = this.runtime.after(delayMs, () => {
        signal?.removeEventListener("abort", abort);
        resolve();
      });
      signal?.addEventListener("abort", abort, { once: true });
    });
  }
}

function parse(response: Response, text: string): unknown {
  if (text === "") return undefined;
  try {
    return JSON.parse(text);
  } catch (cause) {
    const detail = `The answer to a successful call (HTTP ${response.status}) is not JSON: is baseUrl a Tollgate server?`;
    const refusal = {
      status: response.status,
      problem: { title: "Invalid answer", detail },
      requestId: null,
      retryAfterMs: null,
    };
    throw new TollgateError(refusal, { code: "invalid-answer", cause });
  }
}
