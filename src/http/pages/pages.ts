import { backtestPage } from "./backtest/backtest.tsx";
import { tunePage } from "./backtest/tune.tsx";
import { checksCsv } from "./checks-csv.ts";
import { decisionPage } from "./decision/decision.tsx";
import { decisionsCsv, decisionsPage } from "./decisions.tsx";
import { dryRunPage } from "./dry-run.tsx";
import { eventsPage } from "./events.tsx";
import { healthPage } from "./health.tsx";
import { modelPage } from "./model/model.tsx";
import { overview } from "./overview.tsx";
import type { Page } from "./page.ts";
import { requestPage } from "./request.tsx";
import { retryPage } from "./retry.tsx";
import { runPage } from "./run.ts";
import { settingsPage } from "./settings.tsx";
import { trainingsPage } from "./trainings.tsx";
import { verificationPage } from "./verification.tsx";

/** Every page. Those with a name in the navigation are there in this order. */
export const PAGES: readonly Page[] = [
  overview,
  modelPage,
  checksCsv,
  dryRunPage,
  backtestPage,
  tunePage,
  decisionsPage,
  decisionsCsv,
  retryPage,
  decisionPage,
  trainingsPage,
  eventsPage,
  requestPage,
  runPage,
  healthPage,
  settingsPage,
  verificationPage,
];
