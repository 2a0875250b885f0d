import { accessSync, constants } from "node:fs";
import { delimiter, join } from "node:path";

/** Finds the first of these programs on the PATH, or in the directories in which servers are commonly installed. */
export function findProgram(names: readonly string[]): string | undefined {
  const directories = [...(process.env["PATH"] ?? "").split(delimiter), "/usr/sbin", "/usr/local/bin"];
  return directories.flatMap((directory) => names.map((name) => join(directory, name))).find(isExecutable);
}

export function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
