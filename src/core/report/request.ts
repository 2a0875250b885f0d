import type { CommandRequest, DispatchRequest, HttpRequest } from "../dispatch/request.ts";

/** The lines that show a request to a trainer. */
export function requestLines(request: DispatchRequest): string[] {
  switch (request.kind) {
    case "http":
      return httpLines(request);
    case "command":
      return commandLines(request);
    default:
      return request satisfies never;
  }
}

function httpLines({ url, method, headers, body }: HttpRequest): string[] {
  return [
    `   URL: ${url}`,
    `   Method: ${method}`,
    "   Headers:",
    ...Object.entries(headers).map(([name, value]) => `      ${name}: ${value}`),
    "",
    "   Payload:",
    ...bodyLines(body, "      "),
  ];
}

function bodyLines(body: HttpRequest["body"], indent: string): string[] {
  return Object.entries(body).flatMap(([name, value]) =>
    typeof value === "object" && value !== null && !Array.isArray(value)
      ? [`${indent}${name}:`, ...bodyLines(value, `${indent}  `)]
      : [`${indent}${name}: ${typeof value === "string" ? value : JSON.stringify(value)}`],
  );
}

function commandLines({ command, workingDirectory }: CommandRequest): string[] {
  return [
    `   Directory: ${workingDirectory}`,
    "   Program and arguments:",
    ...command.map((part) => `      ${JSON.stringify(part)}`),
  ];
}
