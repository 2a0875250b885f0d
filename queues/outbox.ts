/** The job of an event that was saved together with checks: one job, however often it is put on the inbox. */
export const outboxJobId = (id: string): string => `event-${id}`;

/** Whether a job's event was saved together with checks. */
export const isOutboxJob = (jobId: string | undefined): boolean => /^event-[0-9a-f-]{36}$/.test(jobId ?? "");
