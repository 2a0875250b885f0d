import { createBullBoard } from "@bull-board/api";
import { BullMQAdapter } from "@bull-board/api/bullMQAdapter";
import { appRoutes } from "@bull-board/api/dist/routes.js";
import { ExpressAdapter } from "@bull-board/express";
import type { QueueAdapterOptions } from "@bull-board/api/typings/app";
import type { Queue } from "bullmq";
import { type Express, Router } from "express";
import { type Stage, STAGES, TRAINING } from "../../../queues/names.ts";
import { grants, type Role } from "../../core/access.ts";
import type { ReportSettings } from "../../use-cases/report-input.ts";
import type { Database } from "../../postgres/database.ts";
import { renderStageLog, restoreResult } from "../../use-cases/stage-log.ts";
import type { Door } from "../access/doors.ts";
import { callerOf } from "../access/keeper.ts";
import { toProblem, UNEXPECTED } from "../problem.ts";
import { renderFrameHead, renderNavigation } from "../layout.tsx";
import { listNavigation } from "../navigation.ts";
import type { Route } from "../route.ts";

const PATH = "/queues";

/** Bull Board's changes that an operator may make; all others need an admin. */
const OPERATOR_CHANGES = new Set([
  "PUT /api/queues/pause",
  "PUT /api/queues/resume",
  "PUT /api/queues/:queueName/pause",
  "PUT /api/queues/:queueName/resume",
  "PUT /api/queues/:queueName/promote",
  "PUT /api/queues/:queueName/retry/:queueStatus",
  "PUT /api/queues/:queueName/:jobId/retry",
  "PUT /api/queues/:queueName/:jobId/promote",
  "PUT /api/queues/:queueName/job-schedulers/:schedulerId/run",
]);

/**
 * Bull Board over all queues: history, logs, flows, retries. Every stage is safe to retry. It stays open while Redis refuses
 * writes: reading works, and deleting jobs frees memory in a full Redis. Viewers get a board that offers no changes.
 */
export const bullBoard: Route = {
  doors: listDoors(),
  requires: ["redis"],
  create({ queues, config, live, database }) {
    const { timeZone, publicUrl } = config;
    const settingNamesOf = (model: string) => live.models().get(model)?.settingNames ?? {};
    const readLog = createLogReader(queues, database, { timeZone, publicUrl, settingNamesOf });
    const boards = {
      changing: createBoard(queues, readLog, false),
      readOnly: createBoard(queues, readLog, true),
    };
    return Router().use(PATH, (request, response, next) => {
      const mayChange = grants(callerOf(request).role, "operator");
      (mayChange ? boards.changing : boards.readOnly)(request, response, next);
    });
  },
};

function createBoard(queues: readonly Queue[], readLog: ReadLog, isReadOnly: boolean): Express {
  const serverAdapter = new ExpressAdapter();
  serverAdapter.setBasePath(PATH);
  createBullBoard({
    queues: queues.map((queue) => {
      const options = { readOnlyMode: isReadOnly, ...linkJobs(queue) };
      const stage = findStage(queue);
      return stage ? new StageAdapter(queue, options, stage, readLog) : new BullMQAdapter(queue, options);
    }),
    serverAdapter,
    options: { uiConfig: { boardTitle: "Retrigger" } },
  });
  // Its own would show the message of any error.
  serverAdapter.setErrorHandler((error) => {
    const { status, code, detail } = toProblem(error) ?? UNEXPECTED;
    return { status: status as 500, body: { error: detail, status, code, detail } };
  });
  const board = serverAdapter.getRouter() as Express & { engines: Record<string, Engine> };
  board.disable("x-powered-by");
  const render = board.engines[".ejs"];
  board.engine("ejs", (path, options, done) => {
    render?.(path, options, (error, html) => done(error, html === undefined ? html : frameBoard(html)));
  });
  return board;
}

/** What a stage of a run did, as text; null if it has not completed. */
type ReadLog = (stage: Stage, runId: string) => Promise<string | null>;

function createLogReader(
  queues: readonly Queue[],
  database: Pick<Database, "readBasis">,
  settings: ReportSettings,
): ReadLog {
  return async (stage, runId) => {
    const job = await queues.find(({ name }) => name === stage)?.getJob(runId);
    if (!job) return null;
    // Of a completed run, Postgres has what its jobs no longer have. It may be away.
    const result = await restoreResult(job.returnvalue, () => database.readBasis(runId)).catch(() => null);
    return renderStageLog({ stage, data: job.data, result }, settings);
  };
}

/** A stage of the chain. Its log is what the job waited for, and then what its result says. */
class StageAdapter extends BullMQAdapter {
  readonly #stage: Stage;
  readonly #readLog: ReadLog;

  constructor(queue: Queue, options: Partial<QueueAdapterOptions>, stage: Stage, readLog: ReadLog) {
    super(queue, options);
    this.#stage = stage;
    this.#readLog = readLog;
  }

  override async getJobLogs(id: string): Promise<string[]> {
    const [own, result] = await Promise.all([super.getJobLogs(id), this.#readLog(this.#stage, id)]);
    // Earlier versions wrote the result to the log.
    const isWritten = result === null || own.join("\n").includes(result);
    return isWritten ? own : [...own, ...result.split("\n")];
  }
}

function findStage({ name }: Pick<Queue, "name">): Stage | undefined {
  return STAGES.find((stage) => stage === name);
}

/** A job of a run leads to the page of its decision. */
function linkJobs({ name }: Queue): Pick<QueueAdapterOptions, "externalJobUrl"> {
  return name === TRAINING || findStage({ name })
    ? { externalJobUrl: ({ id }) => ({ displayText: "Decision", href: `/runs/${id ?? ""}` }) }
    : {};
}

/** Its page, beneath our navigation, and without the font of another server, which our policy forbids. */
function frameBoard(html: string): string {
  return html
    .replace(/<link href="https:[^>]*>/, "")
    .replace("</head>", `${renderFrameHead()}</head>`)
    .replace(/<body[^>]*>/, (body) => body + renderNavigation(listNavigation(PATH)));
}

type Engine = (path: string, options: object, done: (error: unknown, html?: string) => void) => void;

/** The doors of Bull Board, from its own routes: a route of a new version is there for admins only, if it changes anything. */
function listDoors(): Door[] {
  const paths = [...[appRoutes.entryPoint.route].flat(), ...appRoutes.api.flatMap(({ route }) => route)];
  const reserved = new Set(
    paths.flatMap((path) => path.split("/")).filter((word) => word !== "" && !word.startsWith(":")),
  );
  const pages = [appRoutes.entryPoint.route].flat().map((path): Door => {
    return { method: "GET", path: PATH + (path === "/" ? "" : path), role: "viewer", reserved };
  });
  const calls = appRoutes.api.flatMap(({ method, route }): Door[] =>
    [method]
      .flat()
      .flatMap((one) => [route].flat().map((path) => ({ ...toDoor(one.toUpperCase(), path), reserved }))),
  );
  return [
    ...pages,
    { method: "GET", path: `${PATH}/`, role: "viewer" },
    { method: "GET", path: `${PATH}/static/*`, role: "viewer" },
    ...calls,
  ];
}

function toDoor(method: string, path: string): Door {
  const role: Role =
    method === "GET" ? "viewer" : OPERATOR_CHANGES.has(`${method} ${path}`) ? "operator" : "admin";
  return { method, path: PATH + path, role };
}
