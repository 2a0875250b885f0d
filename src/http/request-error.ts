/** A rejected request, with the status, code and message of the response. */
export class RequestError extends Error {
  readonly status: number;
  readonly code: string;

  constructor(status: number, message: string, code = "BAD_REQUEST") {
    super(message);
    this.status = status;
    this.code = code;
  }
}
