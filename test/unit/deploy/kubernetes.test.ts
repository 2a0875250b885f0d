import { execFileSync } from "node:child_process";
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { parseAllDocuments } from "yaml";
import { INBOX, STAGES } from "../../../queues/names.ts";
import { parseConfig } from "../../../src/config/config.ts";
import { ALL_SETTINGS, SETTING_NAMES } from "../../../src/config/settings.ts";
import { ROUTES } from "../../../src/http/routes.ts";
import { findProgram } from "../../../src/process/find-program.ts";
import { WORKERS_STOP_LIMIT_MS } from "../../../workers/bullmq/workers.ts";
import { buildKustomization, type Manifest } from "../../support/kustomize.ts";
import { findSchemaFaults } from "../../support/manifest-schema.ts";

interface Probe {
  httpGet: { path: string; port: string };
}

interface Container {
  name: string;
  image: string;
  env?: {
    name: string;
    value?: string;
    valueFrom?: { secretKeyRef?: { name: string; key: string }; configMapKeyRef?: { name: string } };
  }[];
  envFrom?: { configMapRef?: { name: string }; secretRef?: { name: string } }[];
  ports?: { name: string; containerPort: number }[];
  lifecycle?: { preStop: { exec: { command: string[] } } };
  securityContext: object;
  startupProbe: Probe;
  livenessProbe: Probe;
  readinessProbe: Probe;
}

interface PodTemplate {
  metadata: { labels: Record<string, string> };
  spec: {
    containers: Container[];
    initContainers: Container[];
    volumes: { configMap?: { name: string } }[];
    [field: string]: unknown;
  };
}

type Labels = Record<string, string>;

/** The parts of a spec that the tests read. Each kind has some of them. */
interface Spec extends Record<string, unknown> {
  template: PodTemplate;
  scaleTargetRef: { name: string };
  selector: { matchLabels: Labels } & Labels;
  podSelector: { matchLabels: Labels };
  ingress?: { ports: { port: string }[] }[];
  ports: { name: string; targetPort: string }[];
  rules: { host: string }[];
  tls: { hosts: string[] }[];
  triggers: { metadata: { query: string } }[];
}

const PROBES = ["startupProbe", "livenessProbe", "readinessProbe"] as const;

/** The example, with its secrets where a user puts them. */
const directory = mkdtempSync(join(tmpdir(), "kubernetes-"));
cpSync("deploy/kubernetes", directory, { recursive: true });
const overlay = join(directory, "overlays/example");
for (const name of ["secrets.env", "migrator.env"])
  cpSync(join(overlay, `${name}.example`), join(overlay, name));
afterAll(() => rmSync(directory, { recursive: true }));

const manifests = buildKustomization(overlay);
const ofKind = (kind: string): Manifest[] => manifests.filter((manifest) => manifest.kind === kind);
const find = (kind: string, name: string): Manifest => {
  const found = ofKind(kind).find(({ metadata }) => metadata.name === name);
  if (!found) throw new Error(`There is no ${kind} ${name}`);
  return structuredClone(found);
};
const specOf = (manifest: Manifest): Spec => manifest["spec"] as Spec;
const dataOf = (kind: string, name: string): Record<string, string> =>
  find(kind, name)["data"] as Record<string, string>;
const templates = ofKind("Deployment").map((manifest) => specOf(manifest).template);
const containers = templates.flatMap(({ spec }) => spec.containers);
const everyContainer = templates.flatMap(({ spec }) => [...spec.initContainers, ...spec.containers]);
const isSecret = (name: string): boolean =>
  ["value", "login"].includes(ALL_SETTINGS.find(({ variable }) => variable === name)?.secret ?? "");

function matches(labels: Record<string, string>): PodTemplate[] {
  return templates.filter(({ metadata }) =>
    Object.entries(labels).every(([key, value]) => metadata.labels[key] === value),
  );
}

describe("the manifests for Kubernetes", () => {
  it("have no fault by the schemas of Kubernetes and KEDA", async () => {
    expect(new Set(manifests.map(({ kind }) => kind))).toContain("ScaledObject");
    expect(await findSchemaFaults(manifests)).toEqual([]);
  });

  it("would fail with a misspelled, an absent or a mistyped field", async () => {
    const changed: [string, string, (spec: Record<string, unknown>) => unknown][] = [
      ["Deployment", "retrigger-web", (spec) => (spec["replcas"] = 2)],
      ["Deployment", "retrigger-workers", (spec) => delete spec["selector"]],
      ["PodDisruptionBudget", "retrigger-web", (spec) => (spec["maxUnavailible"] = 1)],
      ["NetworkPolicy", "retrigger-web", (spec) => (spec["policyType"] = ["Ingress"])],
      ["Service", "retrigger-web", (spec) => (spec["ports"] = [{ port: "http" }])],
      ["ScaledObject", "retrigger-workers", (spec) => (spec["minReplicas"] = 2)],
    ];
    const faulty = changed.map(([kind, name, change]) => {
      const manifest = find(kind, name);
      change(specOf(manifest));
      return manifest;
    });
    const faults = (await findSchemaFaults(faulty)).join("\n");
    for (const name of ["replcas", "selector", "maxUnavailible", "policyType", "minReplicas"])
      expect(faults).toContain(name);
    expect(faults).toMatch(/ports\/0\/port must be/);
  });

  it.each(["resorces: [x.yaml]", "resources: [absent.yaml]", "replicas: [{ name: absent, count: 1 }]"])(
    "would fail with a kustomization that says %s",
    (line) => {
      const folder = mkdtempSync(join(directory, "faulty-"));
      writeFileSync(
        join(folder, "kustomization.yaml"),
        `apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\n${line}\n`,
      );
      expect(() => buildKustomization(folder)).toThrow(/resorces|does not exist/);
    },
  );

  it.skipIf(findProgram(["kubectl"]) === undefined)("are what kubectl builds, too", () => {
    const text = execFileSync("kubectl", ["kustomize", overlay], { encoding: "utf8" });
    const withoutHashes = text.replaceAll(/(name: retrigger-\w+)-[a-z0-9]{10}$/gm, "$1");
    const built = parseAllDocuments(withoutHashes).map((document) => document.toJS() as Manifest);
    // kubectl wraps long values.
    for (const { kind, data } of built)
      if (kind === "Secret")
        for (const [key, value] of Object.entries(data as Record<string, string>))
          (data as Record<string, string>)[key] = value.replaceAll(/\s/g, "");
    const byName = (all: Manifest[]) =>
      all.toSorted((a, b) => (a.kind + a.metadata.name < b.kind + b.metadata.name ? -1 : 1));
    expect(byName(built)).toEqual(byName(manifests));
  });

  it("set known settings only, secrets in Secrets and the others elsewhere", () => {
    const inSecrets = ["retrigger-secrets", "retrigger-migrator"].flatMap((name) =>
      Object.keys(dataOf("Secret", name)),
    );
    const elsewhere = [
      ...Object.keys(dataOf("ConfigMap", "retrigger-settings")),
      ...everyContainer
        .flatMap(({ env = [] }) => env.filter(({ valueFrom }) => !valueFrom?.secretKeyRef))
        .map(({ name }) => name),
    ];
    const known: readonly string[] = SETTING_NAMES;
    expect([...inSecrets, ...elsewhere].filter((name) => !known.includes(name))).toEqual([]);
    expect(inSecrets.filter((name) => !isSecret(name))).toEqual([]);
    expect(elsewhere.filter(isSecret)).toEqual([]);
  });

  it("give each process settings that Retrigger accepts", () => {
    const models = join(directory, "retrigger.yaml");
    writeFileSync(models, dataOf("ConfigMap", "retrigger-models")["retrigger.yaml"] ?? "");
    const secrets = readFileSync(join(overlay, "secrets.env"), "utf8").match(/^\w+/gm) ?? [];
    const filled = Object.fromEntries(
      secrets.map((name) => [name, name.endsWith("_TOKEN") ? "t".repeat(32) : undefined]),
    );
    for (const { env = [] } of containers) {
      const own = Object.fromEntries(env.map(({ name, value }) => [name, value]));
      const config = parseConfig({
        ...dataOf("ConfigMap", "retrigger-settings"),
        ...filled,
        DATABASE_URL: "postgres://db.example.com/retrigger",
        REDIS_URL: "rediss://redis.example.com",
        ...own,
        RETRIGGER_CONFIG: models,
      });
      expect(config.host).toBe("0.0.0.0");
      expect([...config.models.keys()]).toEqual(["default"]);
    }
  });

  it("probe ports that the settings open, and paths that a pod serves under its IP", () => {
    // The kubelet addresses a pod by its IP.
    const paths = ROUTES.flatMap(({ doors }) => doors.filter(({ anyHost }) => anyHost)).map(
      ({ path }) => path,
    );
    for (const container of containers) {
      const ports = container.ports ?? [];
      const opened = container.env
        ?.filter(({ name }) => name.endsWith("PORT"))
        .map(({ value }) => Number(value));
      expect(ports.map(({ containerPort }) => containerPort)).toEqual(opened);
      for (const probe of PROBES) {
        const { path, port } = container[probe].httpGet;
        expect(ports.map(({ name }) => name)).toContain(port);
        expect(paths).toContain(path);
      }
    }
  });

  it("refer only to what they bring", () => {
    for (const { spec } of templates) {
      find("ServiceAccount", String(spec["serviceAccountName"]));
      for (const { configMap } of spec.volumes) if (configMap) find("ConfigMap", configMap.name);
      for (const { envFrom = [], env = [] } of [...spec.initContainers, ...spec.containers]) {
        for (const { configMapRef, secretRef } of envFrom) {
          if (configMapRef) find("ConfigMap", configMapRef.name);
          if (secretRef) find("Secret", secretRef.name);
        }
        for (const { valueFrom } of env) {
          const { secretKeyRef, configMapKeyRef } = valueFrom ?? {};
          if (secretKeyRef) expect(dataOf("Secret", secretKeyRef.name)).toHaveProperty(secretKeyRef.key);
          if (configMapKeyRef) find("ConfigMap", configMapKeyRef.name);
        }
      }
    }
    find("Deployment", specOf(find("ScaledObject", "retrigger-workers")).scaleTargetRef.name);
    const ports = containers.flatMap((container) => container.ports?.map(({ name }) => name) ?? []);
    for (const policy of ofKind("NetworkPolicy")) {
      const { podSelector, ingress = [] } = specOf(policy);
      expect(matches(podSelector.matchLabels)).not.toEqual([]);
      for (const { port } of ingress.flatMap((rule) => rule.ports)) expect(ports).toContain(port);
    }
    for (const budget of ofKind("PodDisruptionBudget"))
      expect(matches(specOf(budget).selector.matchLabels)).toHaveLength(1);
    const service = specOf(find("Service", "retrigger-web"));
    expect(matches(service.selector)).toHaveLength(1);
    expect(ports).toContain(service.ports[0]?.targetPort);
  });

  it("scale the workers by the age of jobs on the inbox and the stages", () => {
    const { triggers } = specOf(find("ScaledObject", "retrigger-workers"));
    const queues = /queue=~"([^"]+)"/.exec(triggers[0]?.metadata.query ?? "")?.[1]?.split("|");
    expect(queues).toEqual([INBOX, ...STAGES]);
  });

  it("serve the host of PUBLIC_URL", () => {
    const { rules, tls } = specOf(find("Ingress", "retrigger-web"));
    const { hostname } = new URL(dataOf("ConfigMap", "retrigger-settings")["PUBLIC_URL"] ?? "");
    expect([rules[0]?.host, tls[0]?.hosts[0]]).toEqual([hostname, hostname]);
  });

  it("give no process more rights than it needs", () => {
    for (const { spec } of templates) {
      expect(spec["automountServiceAccountToken"]).toBe(false);
      // Kubernetes refuses runAsNonRoot for an image whose user is a name, unless the number is given.
      expect(spec["securityContext"]).toMatchObject({
        runAsNonRoot: true,
        runAsUser: 1000,
        seccompProfile: { type: "RuntimeDefault" },
      });
    }
    for (const { securityContext } of everyContainer)
      expect(securityContext).toEqual({
        allowPrivilegeEscalation: false,
        readOnlyRootFilesystem: true,
        capabilities: { drop: ["ALL"] },
      });
    // Only the container that migrates has the owner's login.
    expect(JSON.stringify(containers)).not.toContain("retrigger-migrator");
  });

  it("leave a process the time that it needs to stop", () => {
    for (const { spec } of templates) {
      const [command, seconds] = spec.containers[0]?.lifecycle?.preStop.exec.command ?? ["sleep", "0"];
      expect(command).toBe("sleep");
      const leftMs = (Number(spec["terminationGracePeriodSeconds"]) - Number(seconds)) * 1_000;
      expect(leftMs).toBeGreaterThan(WORKERS_STOP_LIMIT_MS);
    }
  });
});
