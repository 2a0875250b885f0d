import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";
import { setTimeout as pause } from "node:timers/promises";

/** A wire that can be cut, and made slow, between a program and a server on this machine. */
export interface TcpProxy {
  /** The server's URL, by way of the proxy. */
  url: string;
  /** Resets every connection and refuses new ones, until `heal`. */
  cut(): void;
  heal(): void;
  /** Delays every chunk in either direction by so many milliseconds. */
  slowDown(delayMs: number): void;
  close(): Promise<void>;
}

export async function createTcpProxy(serverUrl: string): Promise<TcpProxy> {
  const target = new URL(serverUrl);
  const sockets = new Set<Socket>();
  let isCut = false;
  let delayMs = 0;

  const server = createServer((near) => {
    if (isCut) {
      near.resetAndDestroy();
      return;
    }
    const far = connect(Number(target.port), target.hostname);
    join(near, far);
    join(far, near);
  });

  function join(from: Socket, to: Socket): void {
    sockets.add(from);
    from.setNoDelay(true);
    // What comes later must not overtake what is on its way, also when the wire is fast again.
    let lastArrival = Promise.resolve();
    const carry = async (chunk: Buffer, before: Promise<void>): Promise<void> => {
      await Promise.all([delayMs === 0 ? null : pause(delayMs), before]);
      to.write(chunk);
    };
    from.on("data", (chunk) => {
      lastArrival = carry(chunk, lastArrival);
    });
    from.on("error", () => to.destroy());
    from.on("close", () => {
      sockets.delete(from);
      to.destroy();
    });
  }

  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const url = new URL(serverUrl);
  url.port = String((server.address() as AddressInfo).port);
  const cut = (): void => {
    isCut = true;
    for (const socket of sockets) socket.resetAndDestroy();
  };
  return {
    url: url.href,
    cut,
    heal() {
      isCut = false;
    },
    slowDown(milliseconds) {
      delayMs = milliseconds;
    },
    async close() {
      cut();
      server.close();
      await once(server, "close");
    },
  };
}
