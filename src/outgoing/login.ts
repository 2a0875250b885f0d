/** A URL as `fetch` takes it, which refuses one with a login in it, and the header that the login becomes. */
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
