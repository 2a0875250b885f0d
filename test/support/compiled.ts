import { execFileSync } from "node:child_process";
import { cpSync, rmSync } from "node:fs";
import { join, relative } from "node:path";
import { fileURLToPath } from "node:url";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));

/** Tells the test files where the compiled scripts are; "off" in the environment: run the source. */
const VARIABLE = "TEST_COMPILED";

/**
 * Compiles the program and its tests, for the scripts that tests start as processes: there are hundreds of starts, and running
 * the source takes twice the time of each. Returns how to remove the result.
 */
export function compileScripts(): () => void {
  if (process.env[VARIABLE] === "off") return () => {};
  const directory = join(ROOT, ".data", `compiled-${process.pid}`);
  const compiler = join(ROOT, "node_modules", "typescript", "bin", "tsc");
  execFileSync(process.execPath, [compiler, "-p", ROOT, "--noCheck", "--outDir", directory], {
    stdio: "pipe",
  });
  const migrations = join("src", "postgres", "migrations");
  cpSync(join(ROOT, migrations), join(directory, migrations), { recursive: true });
  process.env[VARIABLE] = directory;
  return () => rmSync(directory, { recursive: true, force: true });
}

/** The arguments with which node runs one of our scripts: compiled, if this checkout's scripts are. */
export function toArguments(script: string): string[] {
  const directory = process.env[VARIABLE];
  const path = relative(ROOT, join(script.startsWith("/") ? "" : ROOT, script));
  // A mutant is a checkout of its own, below this one.
  const isOwn = !path.startsWith("..") && !path.startsWith(".data");
  return directory !== undefined && directory !== "off" && isOwn
    ? [join(directory, path.replace(/\.ts$/, ".js"))]
    : ["--import", import.meta.resolve("tsx"), script];
}
