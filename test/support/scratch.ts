import { mkdirSync, statfsSync } from "node:fs";
import { resolve } from "node:path";

const IN_MEMORY = "/dev/shm";
const ROOM_BYTES = 2 ** 31;

/**
 * Where the servers of tests keep their files: in memory if it has room. A database for each test is a thousand new files, and
 * on a disk, they cost more than all that the test does with them.
 */
export const SCRATCH = hasRoom() ? `${IN_MEMORY}/retrigger-tests` : resolve(".data");
mkdirSync(SCRATCH, { recursive: true });

function hasRoom(): boolean {
  try {
    const { bavail, bsize } = statfsSync(IN_MEMORY);
    return bavail * bsize > ROOM_BYTES;
  } catch {
    return false;
  }
}
