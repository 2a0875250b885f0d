import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";

/** A server, reached by a wire on which every chunk takes a while in either direction. */
export interface DelayedWire {
  url: string;
  close(): void;
}

export async function openDelayedWire(serverUrl: string, delayMs: number): Promise<DelayedWire> {
  const target = new URL(serverUrl);
  const sockets = new Set<Socket>();
  const carry = (from: Socket, to: Socket): void => {
    sockets.add(from);
    from.setNoDelay(true);
    // Timers of one length fire in the order in which they were set.
    from.on("data", (chunk) => setTimeout(() => to.write(chunk), delayMs));
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
