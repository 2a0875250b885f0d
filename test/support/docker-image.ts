import { execFileSync } from "node:child_process";
import { mkdirSync, readdirSync, readFileSync, realpathSync, symlinkSync } from "node:fs";
import { join } from "node:path";

/**
 * Executes the Dockerfile without Docker, below `directory`, and returns the last stage's working directory. Only what
 * .dockerignore admits can be copied. Dependencies are links to those of the checkout and are not pruned.
 */
export function followDockerfile(checkout: string, directory: string): string {
  const ignored = readFileSync(join(checkout, ".dockerignore"), "utf8").split("\n");
  const stages = new Map<string, string>();
  let workDirectory = "";
  for (const [instruction, ...words] of readInstructions(join(checkout, "Dockerfile"))) {
    if (instruction === "FROM") {
      workDirectory = join(directory, `stage-${stages.size}`);
      mkdirSync(workDirectory);
      stages.set(words.at(-1) ?? "", workDirectory);
    } else if (instruction === "COPY") {
      const stage = stages.get(/^--from=(.*)/.exec(words[0] ?? "")?.[1] ?? "");
      const target = join(workDirectory, words.at(-1) ?? "");
      for (const source of words.slice(stage === undefined ? 0 : 1, -1)) {
        if (stage === undefined && !ignored.includes(`!${source}`))
          throw new Error(`.dockerignore keeps ${source} from the build`);
        const path = stage === undefined ? join(checkout, source) : source.replace("/app", stage);
        execFileSync("cp", ["-a", path, target]);
      }
    } else if (instruction === "RUN") {
      for (const command of words.join(" ").split(" && ")) run(command, workDirectory, checkout);
    }
  }
  return workDirectory;
}

function readInstructions(path: string): string[][] {
  const lines = readFileSync(path, "utf8").split("\n");
  return lines.filter((line) => /^[A-Z]/.test(line)).map((line) => line.trim().split(/\s+/));
}

function run(command: string, workDirectory: string, checkout: string): void {
  if (command === "npm ci")
    linkDependencies(join(checkout, "node_modules"), join(workDirectory, "node_modules"));
  else if (!command.startsWith("npm prune")) execFileSync("sh", ["-ec", command], { cwd: workDirectory });
}

/** Links each package separately, so that steps that add or remove packages do not touch those of the checkout. */
function linkDependencies(from: string, to: string): void {
  mkdirSync(join(to, ".bin"), { recursive: true });
  for (const name of readdirSync(from).filter((entry) => !entry.startsWith(".")))
    symlinkSync(realpathSync(join(from, name)), join(to, name));
  for (const name of readdirSync(join(from, ".bin")))
    symlinkSync(realpathSync(join(from, ".bin", name)), join(to, ".bin", name));
}
