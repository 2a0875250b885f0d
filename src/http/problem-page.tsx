import { renderBare } from "./layout.tsx";

/** How often a page is read again while a server is away. */
const RELOAD_SECONDS = 5;

const TITLES: Readonly<Record<number, string>> = {
  400: "This request cannot be read",
  401: "Log in first",
  403: "Your role does not allow this",
  404: "Not found",
  409: "That was not possible",
  429: "Too many requests",
  500: "Something failed here",
  503: "A server is away",
};

const RELOADS = "This page tries again by itself.";
const UNCHANGED = "Nothing was changed. Go back, and send the form again later.";
const UNSURE = "It may have been done all the same. Look before you send the form again.";

/** A problem as a page: what is the matter, and where to go. */
export function renderProblem({
  status,
  detail,
  isRead,
  isBegun,
}: {
  status: number;
  detail: string;
  isRead: boolean;
  isBegun: boolean;
}): string {
  const next =
    status < 500 ? null : isRead ? (status === 503 ? RELOADS : null) : isBegun ? UNSURE : UNCHANGED;
  const title = TITLES[status] ?? "That was not possible";
  return renderBare({
    title,
    tone: status === 404 ? "calm" : "bad",
    // A form that was sent cannot be sent again by reading its address.
    reloadSeconds: status === 503 && isRead ? RELOAD_SECONDS : undefined,
    children: (
      <>
        <h1>{title}</h1>
        <p>{detail}</p>
        {next !== null && <p class="soft">{next}</p>}
        <p>
          <a href="/">Overview</a> · <a href="/health">Health</a>
        </p>
      </>
    ),
  });
}
