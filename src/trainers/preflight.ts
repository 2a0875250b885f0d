import type { Finding } from "../core/finding.ts";
import type { Logger } from "../process/logger.ts";
import type { Trainers } from "./trainers.ts";

/** Checks whether each trainer would accept a request. Findings that trainers share are returned once. */
export async function preflightTrainers(trainers: Pick<Trainers, "all">): Promise<Finding[]> {
  const findings = new Map<string, Finding>();
  for (const trainer of trainers.all())
    for (const finding of await trainer.preflight()) findings.set(finding.text, finding);
  return [...findings.values()];
}

/** The same. Problems are logged and never thrown. */
export async function logTrainerProblems(trainers: Pick<Trainers, "all">, log: Logger): Promise<void> {
  try {
    for (const { level, text, remedy } of await preflightTrainers(trainers))
      if (level !== "ok") log.warn({ remedy }, text);
  } catch (error) {
    log.warn({ err: error }, "cannot check the trainers");
  }
}
