import { randomInt } from "node:crypto";
import { isPortFree } from "../../src/embedded/server-process.ts";

const reserved = new Set<number>();

/**
 * A free port for a server that is started later. It is below those that connections get by themselves, and this process
 * returns it once: of many free ports that are looked up one after the other, some would be taken before they are used.
 */
export async function reservePort(): Promise<number> {
  for (;;) {
    const port = randomInt(20_000, 32_000);
    if (reserved.has(port) || !(await isPortFree(port, "127.0.0.1"))) continue;
    reserved.add(port);
    return port;
  }
}
