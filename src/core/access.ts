/** What a caller may do over HTTP. An operator may also emit and view, an admin may do everything. */
export const ROLES = ["emit", "viewer", "operator", "admin"] as const;
export type Role = (typeof ROLES)[number];

const GRANTS: Readonly<Record<Role, readonly Role[]>> = {
  emit: ["emit"],
  viewer: ["viewer"],
  operator: ["emit", "viewer", "operator"],
  admin: ROLES,
};

/** Whether a caller with a role may pass a door that requires another. */
export function grants(role: Role, required: Role): boolean {
  return GRANTS[role].includes(required);
}

/** The role that grants most; null for none. */
export function highestOf(roles: readonly Role[]): Role | null {
  return ROLES.findLast((role) => roles.includes(role)) ?? null;
}

/** A text without the secrets of tokens in it. */
export function hideTokens(text: string): string {
  return text.replaceAll(/((?:rt_)?[a-z0-9]{10}_)[\w-]{20,}/g, "$1…");
}

/** How a caller was recognized. `cli` is the command line, which uses the servers themselves. */
export type Means = "token" | "session" | "proxy" | "local" | "cli" | "none";

/** Who does something. */
export interface Actor {
  name: string;
  /** null for the command line, and for callers that were not recognized. */
  role: Role | null;
  means: Means;
  /** The network address; null for the command line. */
  address: string | null;
  /** The token that it holds; null without one. */
  tokenId: string | null;
}
