import { z } from "zod";

export interface ServerAddress {
  host: string;
  port: number;
}

const ADDRESS = /^(?:\[([0-9a-f:.]+)\]|([^\s:@/[\]]+)):(\d{1,5})$/i;

/** Servers as host:port, separated by commas. */
export const serverList = z.string().transform((text, context): readonly ServerAddress[] =>
  text.split(",").flatMap((part) => {
    const [, ipv6, name, port] = ADDRESS.exec(part.trim()) ?? [];
    const host = ipv6 ?? name;
    if (host !== undefined && Number(port) > 0 && Number(port) <= 65_535)
      return [{ host, port: Number(port) }];
    context.issues.push({
      code: "custom",
      input: text,
      message: "must be servers as host:port, separated by commas",
    });
    return [];
  }),
);

/** "localhost:6379", and "[::1]:6379". */
export function formatServer({ host, port }: ServerAddress): string {
  return `${host.includes(":") ? `[${host}]` : host}:${port}`;
}
