const REDIRECTS = [301, 302, 303, 307, 308];

/** Longer parts of a path may be keys. */
const MAX_PART_LENGTH = 15;

/** Where a response redirects to, for an error message: redirects are never followed. Null for any other response. */
export function describeRedirect({ status, headers }: Response, requestUrl: URL): string | null {
  const location = headers.get("location");
  if (!REDIRECTS.includes(status) || location === null) return null;
  const target = URL.canParse(location, requestUrl.href)
    ? showUrl(new URL(location, requestUrl))
    : "an invalid URL";
  return `it redirects to ${target}, and redirects are not followed`;
}

/** A URL without what may be a secret: login, query, fragment and long parts of the path. */
export function showUrl({ origin, protocol, pathname }: URL): string {
  if (!/^https?:$/.test(protocol)) return `a URL with ${protocol}`;
  const parts = pathname.split("/").map((part) => (part.length > MAX_PART_LENGTH ? "…" : part));
  return `${origin}${parts.slice(0, 10).join("/")}`;
}
