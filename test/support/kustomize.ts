import { existsSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { parseEnv } from "node:util";
import { parse as parseYaml, parseAllDocuments } from "yaml";
import { z } from "zod";

/** An object of Kubernetes, as far as every kind has it. */
export interface Manifest {
  apiVersion: string;
  kind: string;
  metadata: { name: string; namespace?: string; labels?: Record<string, string> };
  [part: string]: unknown;
}

const Generator = z.strictObject({
  name: z.string(),
  envs: z.array(z.string()).default([]),
  files: z.array(z.string()).default([]),
});

/** What our own kustomizations use. Strict, so that a misspelled field, or one that this builder cannot carry out, fails. */
const Kustomization = z.strictObject({
  apiVersion: z.string(),
  kind: z.enum(["Kustomization", "Component"]),
  namespace: z.string().optional(),
  resources: z.array(z.string()).default([]),
  components: z.array(z.string()).default([]),
  images: z.array(z.strictObject({ name: z.string(), newName: z.string(), newTag: z.string() })).default([]),
  replicas: z.array(z.strictObject({ name: z.string(), count: z.int() })).default([]),
  configMapGenerator: z.array(Generator).default([]),
  secretGenerator: z.array(Generator).default([]),
});

/** Kinds that belong to no namespace. */
const CLUSTER_WIDE = ["Namespace"];

/**
 * Builds a folder as `kubectl kustomize` does, except that generated names get no hash. Where kubectl is installed, a test
 * compares the two.
 */
export function buildKustomization(directory: string): Manifest[] {
  const file = Kustomization.parse(parseYaml(readFileSync(join(directory, "kustomization.yaml"), "utf8")));
  const manifests = [
    ...[...file.resources, ...file.components].flatMap((path) => readResource(join(directory, path))),
    ...file.configMapGenerator.map((map) => ({
      ...describe("ConfigMap", map.name),
      data: readData(directory, map),
    })),
    ...file.secretGenerator.map((secret) => ({
      ...describe("Secret", secret.name),
      data: encode(readData(directory, secret)),
      type: "Opaque",
    })),
  ];
  for (const { name, newName, newTag } of file.images) setImage(manifests, name, `${newName}:${newTag}`);
  for (const { name, count } of file.replicas) setReplicas(manifests, name, count);
  if (file.namespace !== undefined)
    for (const { kind, metadata } of manifests)
      if (!CLUSTER_WIDE.includes(kind)) metadata.namespace = file.namespace;
  return manifests;
}

function describe(kind: string, name: string): Manifest {
  return { apiVersion: "v1", kind, metadata: { name } };
}

function readResource(path: string): Manifest[] {
  if (!existsSync(path)) throw new Error(`A kustomization names ${path}, which does not exist`);
  if (statSync(path).isDirectory()) return buildKustomization(path);
  return parseAllDocuments(readFileSync(path, "utf8")).map((document) => {
    const [error] = document.errors;
    if (error) throw new Error(`${path}: ${error.message}`);
    return document.toJS() as Manifest;
  });
}

function readData(directory: string, { envs, files }: z.infer<typeof Generator>): Record<string, string> {
  const read = (name: string): string => readFileSync(join(directory, name), "utf8");
  return {
    ...Object.assign({}, ...envs.map((name) => parseEnv(read(name)))),
    ...Object.fromEntries(files.map((name) => [name, read(name)])),
  };
}

function encode(data: Record<string, string>): Record<string, string> {
  return Object.fromEntries(
    Object.entries(data).map(([key, value]) => [key, Buffer.from(value).toString("base64")]),
  );
}

/** Replaces an image wherever a part of a manifest is a container that has it. */
function setImage(part: unknown, name: string, image: string): void {
  if (typeof part !== "object" || part === null) return;
  const fields = part as Record<string, unknown>;
  if (fields["image"] === name) fields["image"] = image;
  for (const value of Object.values(fields)) setImage(value, name, image);
}

function setReplicas(manifests: Manifest[], name: string, replicas: number): void {
  const target = manifests.find(({ kind, metadata }) => kind === "Deployment" && metadata.name === name);
  if (!target) throw new Error(`A kustomization sets the replicas of ${name}, which does not exist`);
  target["spec"] = { ...(target["spec"] as object), replicas };
}
