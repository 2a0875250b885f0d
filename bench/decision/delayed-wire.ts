import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";

/** A server, reached by a wire on which every chunk takes a while in either direction. */
export interface DelayedWire {
  url: string;
  close(): void;
}

/** Timers fire up to this late. Six times per decision, that would add a tenth to the result. */
const TIMER_LAG_MS = 2;

function sendWhenDue(to: Socket, chunk: Buffer, due: number): void {
  if (performance.now() >= due) to.write(chunk);
  else setImmediate(sendWhenDue, to, chunk, due);
}

export async function openDelayedWire(serverUrl: string, delayMs: number): Promise<DelayedWire> {
  const target = new URL(serverUrl);
  const sockets = new Set<Socket>();
  const carry = (from: Socket, to: Socket): void => {
    sockets.add(from);
    from.setNoDelay(true);
    from.on("data", (chunk) => {
      const due = performance.now() + delayMs;
      // Timers of one length fire in the order in which they were set.
      setTimeout(() => sendWhenDue(to, chunk, due), delayMs - TIMER_LAG_MS);
    });
    from.on("error", () => to.destroy());
    from.on("close", () => to.destroy());
  };
  const server = createServer((near) => {
    const far = connect(Number(target.port), target.hostname);
    carry(near, far);
    carry(far, near);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const url = new URL(serverUrl);
  url.port = String((server.address() as AddressInfo).port);
  return {
    url: url.href,
    close() {
      server.close();
      for (const socket of sockets) socket.destroy();
    },
  };
}
