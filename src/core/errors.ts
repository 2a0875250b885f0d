/** An error that a retry cannot fix: bad input, a missing table, a wrong setting. */
export class PermanentError extends Error {
  override readonly name: string = "PermanentError";
  readonly code: string;

  constructor(code: string, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}

/** A source that cannot be read until its owner, or the settings, change. The caller may be told why. */
export class SourceError extends PermanentError {}

/** Invalid settings. The message lists the first faults of the environment and of the YAML file, `faults` has every one. */
export class ConfigError extends PermanentError {
  override readonly name = "ConfigError";
  readonly faults: readonly string[];

  constructor(faults: readonly string[], file?: { path: string; faults: readonly string[] }) {
    const parts = [listFaults("the settings", faults), listFaults(file?.path ?? "", file?.faults ?? [])];
    super("CONFIG", parts.filter((part) => part !== "").join("\n"));
    this.faults = [...faults, ...(file?.faults ?? []).map((fault) => `${file?.path}: ${fault}`)];
  }
}

/** As many as fit on a page. */
const SHOWN_FAULTS = 40;

function listFaults(where: string, faults: readonly string[]): string {
  if (faults.length === 0) return "";
  const more = faults.length - SHOWN_FAULTS;
  return [
    `${faults.length} fault(s) in ${where}:`,
    ...faults.slice(0, SHOWN_FAULTS).map((fault) => `  - ${fault}`),
    ...(more > 0 ? [`  and ${more} more: npx retrigger config check`] : []),
  ].join("\n");
}

/** An error that a retry may fix: an unreachable server, a chain that did not end in time. */
export class TransientError extends Error {
  override readonly name: string = "TransientError";
  readonly code: string;

  constructor(code: string, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}

/** A server that cannot be reached or ended the connection; the request itself was valid. */
export class ServerAwayError extends TransientError {}

/** The message of any thrown value. */
export function messageOf(error: unknown): string {
  if (error instanceof AggregateError) return error.errors.map(messageOf).join("; ");
  return error instanceof Error ? error.message : String(error);
}
