import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";

const run = promisify(execFile);

/** A built checkout of a version. */
export interface Version {
  /** As people call it: "0.1.0 (5b2f9c1)". */
  name: string;
  root: string;
}

/** The version in the working directory, as `npm run build` left it. */
export const THIS_VERSION: Version = { name: "this version", root: process.cwd() };

/**
 * The release before this one: the newest tag `v…` among the ancestors of HEAD. Before there were tags, the commit after which
 * the changelog got its first unreleased lines.
 */
export async function findPreviousRelease(): Promise<string> {
  const tag = await git("describe", "--tags", "--match", "v*", "--abbrev=0", "HEAD^").catch(() => null);
  if (tag !== null) return tag;
  const commits = await git("log", "--reverse", "--format=%H", "-S## Unreleased", "--", "CHANGELOG.md");
  const [first = ""] = commits.split("\n");
  if (first === "") throw new Error("The history has neither a tag v… nor a release. Name one with --from");
  return `${first}^`;
}

/** Installs and builds a version below `.data/releases`, where the next call for the same commit finds it. */
export async function buildVersion(ref: string): Promise<Version> {
  const commit = await git("rev-parse", "--verify", `${ref}^{commit}`);
  const root = join(process.cwd(), ".data", "releases", commit);
  const packageJson = JSON.parse(await git("show", `${commit}:package.json`)) as { version: string };
  const version = { name: `${packageJson.version} (${commit.slice(0, 7)})`, root };
  if (existsSync(join(root, "dist/src/main.js"))) return version;
  await rm(root, { recursive: true, force: true });
  await mkdir(root, { recursive: true });
  const archive = join(root, "archive.tar");
  await git("archive", "--output", archive, commit);
  await run("tar", ["-xf", archive, "-C", root]);
  await rm(archive);
  for (const args of [
    ["ci", "--no-audit", "--no-fund"],
    ["run", "build"],
  ])
    await run("nice", ["npm", ...args], { cwd: root });
  return version;
}

async function git(...args: string[]): Promise<string> {
  const { stdout } = await run("git", args, { maxBuffer: 64 * 1024 * 1024 });
  return stdout.trim();
}
