import { BlockList, isIP } from "node:net";
import { z } from "zod";
import { ROLES, type Role } from "../core/access.ts";

/** Addresses and networks, separated by commas. */
export const addressList = z.string().transform((text, context): BlockList => {
  const list = new BlockList();
  for (const part of text.split(",").map((item) => item.trim()))
    if (!addTo(list, part))
      context.issues.push({
        code: "custom",
        input: text,
        message: "must be addresses or networks such as 10.0.0.5, 10.1.0.0/16, fd00::/8",
      });
  return list;
});

function addTo(list: BlockList, text: string): boolean {
  const [address = "", prefix, ...rest] = text.split("/");
  const version = isIP(address);
  if (version === 0 || rest.length > 0) return false;
  const family = version === 4 ? "ipv4" : "ipv6";
  if (prefix === undefined) list.addAddress(address, family);
  else if (/^\d{1,3}$/.test(prefix) && Number(prefix) <= (version === 4 ? 32 : 128))
    list.addSubnet(address, Number(prefix), family);
  else return false;
  return true;
}

/** `group=role` pairs, separated by commas. */
export const roleByGroup = z.string().transform((text, context): ReadonlyMap<string, Role> => {
  const roles = new Map<string, Role>();
  for (const pair of text.split(",")) {
    const at = pair.lastIndexOf("=");
    const group = pair.slice(0, at).trim();
    const role = ROLES.find((known) => known === pair.slice(at + 1).trim());
    if (at > 0 && group !== "" && role) roles.set(group, role);
    else
      context.issues.push({
        code: "custom",
        input: text,
        message: `must be groups with their roles (${ROLES.join(", ")}), such as ml-team=operator,everyone=viewer`,
      });
  }
  return roles;
});
