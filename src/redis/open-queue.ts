import { Queue, type QueueOptions } from "bullmq";
import type { QueueName } from "../../queues/names.ts";
import { KEPT_EVENTS } from "../../queues/options.ts";
import type { Logger } from "../process/logger.ts";

/** Opens a queue for adding or reading jobs. */
export function openQueue(name: QueueName, options: QueueOptions, log: Logger): Queue {
  const queue = new Queue(name, { ...options, streams: { events: { maxLen: KEPT_EVENTS } } });
  // Without a listener, a connection error would end the process. The connection's own listener logs it once.
  queue.on("error", (error) => log.debug({ err: error, queue: name }, "queue error"));
  return queue;
}
