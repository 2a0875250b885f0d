import type { Server, ServerResponse } from "node:http";
import { setTimeout as pause } from "node:timers/promises";

/** How long requests that are under way may take to end. */
const REQUESTS_LIMIT_MS = 3_000;
const INTERVAL_MS = 20;

/**
 * Returns a function that closes the server: it takes no more connections, ends streams, which their clients resume elsewhere,
 * and cuts off other requests only if they have not ended within three seconds.
 */
export function createServerClose(server: Server): () => Promise<void> {
  const open = new Set<ServerResponse>();
  server.on("request", (_, response) => {
    open.add(response);
    response.once("close", () => open.delete(response));
  });
  return async () => {
    const closed = new Promise<void>((resolve) => server.close(() => resolve()));
    const deadline = performance.now() + REQUESTS_LIMIT_MS;
    while (open.size > 0 && performance.now() < deadline) {
      for (const response of open) if (isStream(response)) response.destroy();
      await pause(INTERVAL_MS);
    }
    server.closeAllConnections();
    await closed;
  };
}

function isStream(response: ServerResponse): boolean {
  return String(response.getHeader("content-type")).startsWith("text/event-stream");
}
