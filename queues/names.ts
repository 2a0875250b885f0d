/** The inbox: completion events, scheduled and manual requests, follow-ups. */
export const INBOX = "drift_monitoring";

/** The chain, in the order in which its stages run. Each stage is a queue of the same name. */
export const STAGES = ["gather", "evaluate", "act", "summarize"] as const;
export type Stage = (typeof STAGES)[number];

/** Follows dispatched trainings to their end; the command trainer runs them there. */
export const TRAINING = "training";

/** Notifications to people, by Slack or a webhook. */
export const NOTIFICATIONS = "notifications";

export const QUEUES = [INBOX, ...STAGES, TRAINING, NOTIFICATIONS] as const;
export type QueueName = (typeof QUEUES)[number];

/** Names of the jobs that the inbox accepts. */
export const INBOX_JOBS = {
  event: "drift_monitoring.completed",
  schedule: "schedule",
  manual: "decide",
  followup: "followup",
  /** Sent at the `nextLookAt` of the latest decision. */
  nextLook: "next-look",
} as const;
