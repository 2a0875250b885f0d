import { alreadyActedOn } from "./already-acted-on.ts";
import { retryBackoff } from "./retry-backoff.ts";
import { trainingInFlight } from "./training-in-flight.ts";

/** No guard may object. The report lists them in this order, after the criteria. */
export const GUARDS = [alreadyActedOn, retryBackoff, trainingInFlight] as const;
