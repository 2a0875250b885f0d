import type { Request } from "express";
import { decodeLeniently } from "../../process/encodings.ts";

/**
 * A CloudEvent in binary mode, whose attributes are headers, as one in structured mode; any other body as it is.
 * Values of headers are percent-encoded where they are not plain ASCII.
 */
export function toCloudEventBody<B>(request: Request, body: B): B {
  if (request.get("ce-specversion") === undefined) return body;
  const attribute = (name: string): string | undefined => {
    const value = request.get(`ce-${name}`);
    return value === undefined ? undefined : decodeLeniently(value);
  };
  const time = attribute("time");
  return {
    specversion: attribute("specversion"),
    type: attribute("type"),
    id: attribute("id"),
    source: attribute("source"),
    ...(time === undefined ? {} : { time }),
    data: body,
  } as B;
}
