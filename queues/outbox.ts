/**
 * The job of an event that was saved together with checks: one job, however often it is put on the inbox.
 *
 * @param isRepeated Whether every check of it was known.
 */
export const outboxJobId = (id: string, isRepeated = false): string =>
  `${isRepeated ? "repeat" : "event"}-${id}`;

/** Whether checks were saved with a job's event, so that they have to be looked at. */
export const bringsChecks = (jobId: string | undefined): boolean => /^event-[0-9a-f-]{36}$/.test(jobId ?? "");
