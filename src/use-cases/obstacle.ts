import { setTimeout as pause } from "node:timers/promises";
import type { Queue } from "bullmq";

/** Explains, and reports once, why no worker takes a queue's jobs. */
export interface ObstacleWatch {
  /** Null if nothing does. Checks every two seconds; in between, returns the last result. */
  explain(queue: Queue): Promise<string | null>;
}

/** Two requests to Redis; a job that is taken at once never gets here. */
const INTERVAL_MS = 2_000;

/** @param onWait Called once with each reason. */
export function watchObstacles({
  onWait,
  findBoard,
}: {
  onWait(why: string): void;
  findBoard(queue: string): string;
}): ObstacleWatch {
  let checkedAt = Date.now();
  let last: { queue: string; why: string | null } | null = null;
  let reported = "";
  return {
    async explain(queue) {
      if (Date.now() - checkedAt < INTERVAL_MS) return last?.queue === queue.name ? last.why : null;
      const why = await describeObstacle(queue, findBoard);
      checkedAt = Date.now();
      if (why !== null && why !== reported) onWait(`⏳ Waiting: ${why}`);
      reported = why ?? reported;
      last = { queue: queue.name, why };
      return why;
    },
  };
}

type Obstacle = "paused" | "no_worker";

/** BullMQ asks every node of a cluster for its workers, also one that hangs. */
const LIMIT_MS = 1_000;

/** What keeps a queue's jobs from being taken; null for nothing, or if that is not known within a second: it must not fail a wait. */
export async function findObstacle(queue: Queue): Promise<Obstacle | null> {
  const find = async (): Promise<Obstacle | null> => {
    if (await queue.isPaused()) return "paused";
    return (await queue.getWorkersCount()) === 0 ? "no_worker" : null;
  };
  return Promise.race([find().catch(() => null), pause(LIMIT_MS, null, { ref: false })]);
}

/** What keeps a queue's jobs from being taken, as a sentence with the remedy; null for nothing. @param findBoard Where Bull Board shows a queue. */
export async function describeObstacle(
  queue: Queue,
  findBoard: (queue: string) => string,
): Promise<string | null> {
  const { name } = queue;
  const obstacle = await findObstacle(queue);
  switch (obstacle) {
    case "paused":
      return `the queue ${name} is paused. Press Resume in Bull Board: ${findBoard(name)}`;
    case "no_worker":
      return "no worker is running. Start one with: npm start";
    case null:
      return null;
    default:
      return obstacle satisfies never;
  }
}
