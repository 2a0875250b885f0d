import swc from "@swc/core";

// dependency-cruiser 17, the last one for Node 20, reads every file with swc as TypeScript without JSX.
const parseFile = swc.parseFileSync;
swc.parseFileSync = (path, options) => parseFile(path, { ...options, tsx: path.endsWith(".tsx") });

// The layers of Retrigger, top to bottom. A file may import its own layer and the layers below it, never one above:
// `npm run check:layers` fails otherwise. ARCHITECTURE.md says what each layer holds.
const LAYERS = [
  { name: "entry points", path: "^src/(cli|demo|main)\\.ts$" },
  { name: "commands, parts of the demo", path: "^src/(cli|demo)/" },
  { name: "composition root", path: "^src/app\\.ts$" },
  { name: "BullMQ wiring", path: "^workers/bullmq/" },
  { name: "workers", path: "^workers/[^/]+$" },
  { name: "HTTP", path: "^src/http/" },
  { name: "use cases", path: "^src/use-cases/" },
  { name: "embedded servers", path: "^src/embedded/" },
  { name: "configuration", path: "^src/config/" },
  { name: "trainers", path: "^src/trainers/" },
  { name: "Postgres and Redis", path: "^src/(postgres|redis)/" },
  { name: "outgoing requests", path: "^src/outgoing/" },
  { name: "process", path: "^src/process/" },
  { name: "schemas of settings", path: "^src/settings/" },
  { name: "detectors", path: "^src/detectors/" },
  { name: "queues", path: "^queues/" },
  { name: "core", path: "^src/core/" },
];

const paths = LAYERS.map(({ path }) => path);

/** @type {import("dependency-cruiser").IConfiguration} */
export default {
  forbidden: [
    ...LAYERS.slice(1).map(({ name, path }, above) => ({
      name: `${name}: imports point down`,
      severity: "error",
      from: { path },
      to: { path: paths.slice(0, above + 1) },
    })),
    {
      name: "core is pure: it imports only itself and pure libraries",
      severity: "error",
      from: { path: "^src/core/" },
      to: {
        pathNot: ["^src/core/", "(^|/)node_modules/(zod|luxon|@types/luxon|fastest-levenshtein)/"],
      },
    },
    {
      name: "every file belongs to a layer",
      severity: "error",
      from: {},
      to: { path: "^(src|workers|queues)/", pathNot: paths },
    },
    {
      name: "OpenTelemetry is loaded only if it is used",
      severity: "error",
      from: { pathNot: "^src/process/trace-export\\.ts$" },
      to: { path: "(^|/)node_modules/(@opentelemetry|bullmq-otel)/" },
    },
    {
      name: "the export of traces is loaded on demand",
      severity: "error",
      from: {},
      to: { path: "^src/process/trace-export\\.ts$", dynamic: false },
    },
    { name: "no cycles", severity: "error", from: {}, to: { circular: true } },
  ],
  options: {
    doNotFollow: { path: "node_modules" },
    // Imports of types count too.
    tsPreCompilationDeps: true,
    // TypeScript 7 has no API that dependency-cruiser could use.
    parser: "swc",
  },
};
