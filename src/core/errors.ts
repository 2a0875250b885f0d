/** An error that a retry cannot fix: bad input, a missing table, a wrong setting. */
export class PermanentError extends Error {
  override readonly name: string = "PermanentError";
  readonly code: string;

  constructor(code: string, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}

/** Invalid settings; lists every fault. */
export class ConfigError extends PermanentError {
  override readonly name = "ConfigError";
  readonly faults: readonly string[];

  constructor(faults: readonly string[]) {
    super(
      "CONFIG",
      `${faults.length} fault(s) in the settings:\n${faults.map((fault) => `  - ${fault}`).join("\n")}`,
    );
    this.faults = faults;
  }
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
