import type { Job } from "bullmq";
import type { Logger } from "../../src/process/logger.ts";
import { isServerAway } from "../../src/redis/refusal.ts";

/** Does not wait: the text is sent before the job's completion, on the same connection. */
export function writeJobLog(job: Job, text: string, log: Logger): void {
  void send(job, text, log);
}

function send(job: Job, text: string, log: Logger): Promise<unknown> {
  return job
    .log(text)
    .catch((error: unknown) =>
      log[isServerAway(error) ? "debug" : "warn"](
        { err: error, queue: job.queueName, jobId: job.id },
        "could not write to the job's log",
      ),
    );
}

const FLUSH_MS = 250;
/** In characters. Of longer output between two flushes, only the end is kept. */
const MAX_ENTRY_LENGTH = 4_000;

/** Writes lines to a job's log in batches: a training may print thousands. */
export function createJobLog(job: Job, log: Logger): { append(text: string): void; flush(): Promise<void> } {
  let lines: string[] = [];
  let timer: NodeJS.Timeout | undefined;
  let writing: Promise<unknown> = Promise.resolve();

  const write = (): void => {
    clearTimeout(timer);
    timer = undefined;
    if (lines.length === 0) return;
    const text = lines.join("\n");
    lines = [];
    const entry = text.length > MAX_ENTRY_LENGTH ? `… ${text.slice(-MAX_ENTRY_LENGTH)}` : text;
    writing = writing.then(() => send(job, entry, log));
  };
  return {
    append(text) {
      lines.push(text);
      timer ??= setTimeout(write, FLUSH_MS);
    },
    async flush() {
      write();
      await writing;
    },
  };
}
