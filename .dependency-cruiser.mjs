// The layers of Retrigger, top to bottom. A file may import its own layer and the layers below it, never one above.
// `npm run check` fails otherwise. ARCHITECTURE.md says what each layer is for.
const LAYERS = [
  ["entry points", "src/(cli|demo|main)\\.ts"],
  ["commands", "src/cli/"],
  ["composition root", "src/app\\.ts"],
  ["BullMQ wiring", "workers/bullmq/"],
  ["the chain and the other workers", "workers/"],
  ["HTTP", "src/http/"],
  ["use cases", "src/use-cases/"],
  ["embedded servers", "src/embedded/"],
  ["configuration", "src/config/"],
  ["trainers", "src/trainers/"],
  ["Postgres and Redis", "src/(postgres|redis)/"],
  ["outgoing requests", "src/outgoing/"],
  ["process", "src/process/"],
  ["forms of settings", "src/settings/"],
  ["queues", "queues/"],
  ["core", "src/core/"],
];

const pathOf = (index) => `^${LAYERS[index][1]}`;

/** @type {import("dependency-cruiser").IConfiguration} */
export default {
  forbidden: [
    ...LAYERS.slice(1).map(([name], index) => ({
      name: `${name}: imports point down`,
      severity: "error",
      from: { path: pathOf(index + 1), ...exceptUpper(index + 1) },
      to: { path: LAYERS.slice(0, index + 1).map((_, upper) => pathOf(upper)), ...exceptSelf(index + 1) },
    })),
    {
      name: "core is pure: it imports itself and zod",
      severity: "error",
      from: { path: "^src/core/" },
      to: { pathNot: ["^src/core/", "/zod/"] },
    },
    { name: "no cycles", severity: "error", from: {}, to: { circular: true } },
    {
      name: "every file belongs to a layer",
      severity: "error",
      from: {},
      to: { path: "^(src|workers|queues)/", pathNot: LAYERS.map((_, index) => pathOf(index)) },
    },
  ],
  options: {
    doNotFollow: { path: "node_modules" },
    // Imports of types count too.
    tsPreCompilationDeps: true,
    parser: "swc",
  },
};

// workers/bullmq/ lies inside workers/, which is a lower layer.
function exceptUpper(index) {
  return LAYERS[index][1] === "workers/" ? { pathNot: "^workers/bullmq/" } : {};
}
function exceptSelf(index) {
  return LAYERS[index][1] === "workers/bullmq/" ? {} : {};
}
