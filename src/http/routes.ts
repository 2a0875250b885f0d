import type { Route } from "./route.ts";
import { apiDocs } from "./routes/api-docs.ts";
import { api } from "./routes/api.ts";
import { assets } from "./routes/assets.ts";
import { bullBoard } from "./routes/bull-board.ts";
import { githubWebhook } from "./routes/github-webhook.ts";
import { health } from "./routes/health.ts";
import { login } from "./routes/login.ts";
import { metrics } from "./routes/metrics.ts";
import { mlflowWebhook } from "./routes/mlflow-webhook.ts";
import { pages } from "./routes/pages.ts";
import { trainingOutcome } from "./routes/training-outcome.ts";

/** All routes of the server. */
export const ROUTES: readonly Route[] = [
  health,
  login,
  bullBoard,
  metrics,
  api,
  apiDocs,
  assets,
  pages,
  githubWebhook,
  mlflowWebhook,
  trainingOutcome,
];
