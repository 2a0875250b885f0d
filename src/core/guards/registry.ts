import { alreadyActedOn } from "./already-acted-on.ts";
import { retryBackoff } from "./retry-backoff.ts";
import { trainingInFlight } from "./training-in-flight.ts";

/** The guards: none may object. They are reported in this order, after the criteria. */
export const GUARDS = [alreadyActedOn, retryBackoff, trainingInFlight] as const;
