import { accessSync, constants } from "node:fs";
import { delimiter, join } from "node:path";

/** The path of the first of the programs that is on the PATH, or where servers are commonly installed. */
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
