/** Moves the login of a URL to an `authorization` header, because `fetch` rejects URLs that contain one. */
export function splitLogin(text: string): { url: URL; headers: Record<string, string> } {
  const url = new URL(text);
  const login = `${decodeURIComponent(url.username)}:${decodeURIComponent(url.password)}`;
  url.username = "";
  url.password = "";
  return {
    url,
    headers: login === ":" ? {} : { authorization: `Basic ${Buffer.from(login).toString("base64")}` },
  };
}
