import { addCheckOf, addRowsOf, createPolicyWorld, listDecisions, type PolicyWorld } from "./policies.ts";
import { until } from "./world.ts";

const policy = (guards: object = {}) => ({
  policy: { when: { all: [{ recentDriftChecks: "7d" }, { driftAlerts: 1 }, { bufferSize: 10 }] }, guards },
});
const program = (script: string) => ({ trainer: { command: { command: ["/bin/sh", "-c", script] } } });

/** A model for each answer that a page can give. */
export const STANDING_MODELS = {
  triggered: policy(),
  short: policy(),
  quiet: policy(),
  unchecked: policy(),
  answered: policy(),
  cooling: policy({ cooldown: "7d" }),
  snoozed: policy(),
  approving: policy({ approval: "24h" }),
  training: { ...policy(), ...program("sleep 60") },
  failed: { ...policy(), ...program("exit 3") },
  unknown: { ...policy(), ...program("true") },
  silent: { ...policy(), expectDriftRunEvery: "1h" },
  ready: policy(),
};
export type StandingModel = keyof typeof STANDING_MODELS;

/** A world with a model in each standing. The service runs, with its pages. */
export async function createStandings(): Promise<{ world: PolicyWorld; address: string }> {
  const world = await createPolicyWorld(STANDING_MODELS);
  const app = await world.startApp({ role: "all" });
  const models = Object.keys(STANDING_MODELS) as StandingModel[];
  const drifting = models.filter((model) => !["quiet", "unchecked", "silent", "ready"].includes(model));
  for (const model of drifting) await addCheckOf(world, model, { feature: "rating_ks", score: 0.0975 });
  await addCheckOf(world, "quiet", { feature: "rating_ks", score: 0.014, fired: false });
  await addCheckOf(world, "silent", { feature: "rating_ks", score: 0.014, fired: false, age: "3 hours" });
  await addCheckOf(world, "ready", { feature: "rating_ks", score: 0.014, fired: false, age: "2 days" });
  for (const model of models) await addRowsOf(world, model, model === "short" ? 4 : 20);
  await world.run("snooze", "snoozed", "--for", "3h", "--by", "Ada", "--reason", "the release is frozen");
  await Promise.all(
    models
      .filter((model) => model !== "silent")
      .map((model) => world.decide({ model, source: "airflow", runId: `first-${model}` })),
  );
  // An event would be a sign of its drift monitoring.
  await world.run("decide", "--model", "silent");
  await untilEnded(world, "failed", "failed");
  await untilEnded(world, "unknown", "succeeded");
  await untilEnded(world, "training", "running");
  await addCheckOf(world, "cooling", { feature: "rating_ks", score: 0.11, age: "0 s" });
  await addCheckOf(world, "ready", { feature: "rating_ks", score: 0.11, age: "0 s" });
  await Promise.all(
    (["answered", "cooling", "failed"] as const).map((model) =>
      world.decide({ model, source: "airflow", runId: `second-${model}` }),
    ),
  );
  // Only a trainer elsewhere leaves a dispatch unknown. No job follows this one any more.
  await world.sql(
    "UPDATE retraining_dispatches SET state = 'unknown', ended_at = NULL, conclusion = NULL WHERE model_name = 'unknown'",
  );
  return { world, address: app.address() ?? "" };
}

async function untilEnded(world: PolicyWorld, model: StandingModel, state: string): Promise<void> {
  await until(`the training of ${model} is ${state}`, async () =>
    (await listDecisions(world, model)).some((decision) => decision.state === state),
  );
}
