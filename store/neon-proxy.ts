/** Sends the Neon driver to a Postgres that is not Neon's, through a plain WebSocket proxy. For the tests: Neon has its own. */
import { neonConfig } from "@neondatabase/serverless";

export function dialThrough(wsProxy: string): void {
  Object.assign(neonConfig, {
    wsProxy: () => wsProxy,
    useSecureWebSocket: false,
    // An ordinary Postgres wants each step of the handshake answered before the next.
    pipelineTLS: false,
    pipelineConnect: false,
  });
}
