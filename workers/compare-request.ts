import { isDeepStrictEqual } from "node:util";
import { type DispatchRequest, toRecorded } from "../src/core/dispatch/request.ts";
import { PermanentError } from "../src/core/errors.ts";
import type { DispatchRecord } from "../src/postgres/dispatches.ts";
import { hashSettings } from "../src/trainers/draft-decision.ts";
import type { Trainer } from "../src/trainers/trainer.ts";

type Comparison =
  { kind: "same"; request: DispatchRequest } | { kind: "differs"; haveSettingsChanged: boolean };

/** Renders the request from the current settings and compares it with the recorded one, which is never sent itself. */
export function compareRequest(
  trainer: Pick<Trainer, "renderRequest">,
  { order, request, settingsHash, model }: DispatchRecord,
): Comparison {
  try {
    const rendered = trainer.renderRequest(order);
    // Compare as JSON, the form in which it was recorded.
    if (isDeepStrictEqual(JSON.parse(JSON.stringify(toRecorded(rendered))), request))
      return { kind: "same", request: rendered };
    const haveSettingsChanged = settingsHash === null || settingsHash !== hashSettings(trainer, model);
    return { kind: "differs", haveSettingsChanged };
  } catch (error) {
    if (error instanceof PermanentError) return { kind: "differs", haveSettingsChanged: true };
    throw error;
  }
}
