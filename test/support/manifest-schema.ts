import { execFile } from "node:child_process";
import { mkdir, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { Manifest } from "./kustomize.ts";

/** The packages that have the schemas of Kubernetes and of KEDA, as validators and as types. */
const packageOf = (apiVersion: string): string =>
  apiVersion.startsWith("keda.sh/") ? "@kubernetes-models/keda" : "kubernetes-models";

const modulePathOf = ({ apiVersion, kind }: Manifest): string =>
  `${packageOf(apiVersion)}/${apiVersion}/${kind}`;

type ModelClass = new (data: Manifest) => { validate(): void };

/**
 * What the schemas of Kubernetes find wrong with manifests. Their validators know types, formats and required fields, but let
 * unknown fields pass; those are found by the compiler, which knows the same schemas as types.
 */
export async function findSchemaFaults(manifests: readonly Manifest[]): Promise<string[]> {
  const validated = await Promise.all(manifests.map(validate));
  return [...validated.flat(), ...(await compile(manifests))];
}

async function validate(manifest: Manifest): Promise<string[]> {
  const models = (await import(modulePathOf(manifest))) as Record<string, ModelClass>;
  const Model = models[manifest.kind];
  if (!Model) return [`${manifest.apiVersion} has no ${manifest.kind}`];
  try {
    new Model(manifest).validate();
    return [];
  } catch (error) {
    return [`${manifest.kind} ${manifest.metadata.name}: ${String(error)}`];
  }
}

/** Compiles the manifests as literals of their types, below the checkout, where the packages are found. */
async function compile(manifests: readonly Manifest[]): Promise<string[]> {
  const directory = join(process.cwd(), ".data", `manifests-${process.pid}-${performance.now()}`);
  await mkdir(directory, { recursive: true });
  const script = join(directory, "manifests.ts");
  const texts = manifests.map(
    (manifest, index) =>
      `import type { I${manifest.kind} as T${index} } from "${modulePathOf(manifest)}";\n` +
      `export const manifest${index}: T${index} = ${JSON.stringify(manifest, null, 2)};\n`,
  );
  await writeFile(script, texts.join(""));
  const options = ["--noEmit", "--strict", "--skipLibCheck", "--module", "nodenext", "--ignoreConfig"];
  const compiler = join(process.cwd(), "node_modules/typescript/bin/tsc");
  const output = await new Promise<string>((resolve) => {
    execFile(process.execPath, [compiler, ...options, script], (_, stdout, stderr) =>
      resolve(stdout + stderr),
    );
  });
  await rm(directory, { recursive: true });
  return output.split("\n").filter((line) => line.includes("error TS"));
}
