import { lstatSync, mkdirSync, statfsSync } from "node:fs";
import { userInfo } from "node:os";
import { resolve } from "node:path";

const IN_MEMORY = "/dev/shm";
const ROOM_BYTES = 2 ** 31;

/**
 * Where the servers of tests keep their files: in memory if it has room. A database for each test is a thousand new files, and
 * on a disk, they cost more than all that the test does with them.
 */
export const SCRATCH = hasRoom()
  ? create(`${IN_MEMORY}/retrigger-tests-${userInfo().uid}`)
  : resolve(".data");
mkdirSync(SCRATCH, { recursive: true });

/** Everybody may write there: a directory that somebody else left under the name would lead to files of theirs. */
function create(directory: string): string {
  mkdirSync(directory, { recursive: true, mode: 0o711 });
  const found = lstatSync(directory);
  const isOurs = found.isDirectory() && found.uid === userInfo().uid && (found.mode & 0o022) === 0;
  return isOurs ? directory : resolve(".data");
}

function hasRoom(): boolean {
  try {
    const { bavail, bsize } = statfsSync(IN_MEMORY);
    return bavail * bsize > ROOM_BYTES;
  } catch {
    return false;
  }
}
