import type { ComponentChildren } from "preact";
import { renderToString } from "preact-render-to-string";
import type { Actor, Role } from "../core/access.ts";
import type { Tone } from "../core/standing.ts";
import { addressOf } from "./assets.ts";

interface Head {
  title: string;
  tone?: Tone | undefined;
  /** The browser reads the page again after so many seconds, without a script too. */
  reloadSeconds?: number | undefined;
}

interface Frame extends Head {
  navigation: readonly { label: string; path: string; isCurrent: boolean }[];
  caller: Actor & { role: Role };
  /** How often an open page reads itself again; else after a change from this version on, of this model if it names one. */
  live: { refreshMs: number | undefined; version: string | null; model: string | undefined };
  /** What an action has just done. */
  notice: string | null;
  children: ComponentChildren;
}

/** A page in the frame that all share. */
export function renderFrame({ navigation, caller, live, notice, children, ...head }: Frame): string {
  return render(
    <Document {...head}>
      <a class="skip" href="#main">
        Skip to the content
      </a>
      <header class="top">
        <a class="brand" href="/">
          Retrigger
        </a>
        <Navigation entries={navigation} />
        <div class="who">
          <span title={`Recognized by: ${caller.means}`}>
            {caller.name} · {caller.role}
          </span>
          {caller.means === "session" && (
            <form method="post" action="/logout">
              <button class="quiet">Log out</button>
            </form>
          )}
        </div>
      </header>
      <p id="away" class="away" role="status" hidden />
      <main
        id="main"
        data-refresh={live.refreshMs}
        data-version={live.version ?? undefined}
        data-model={live.model}
      >
        {notice !== null && (
          <p class="notice" role="status">
            {notice}
          </p>
        )}
        {children}
      </main>
      <footer>
        Times are in <span data-zone>UTC</span>. <a href="/api/v1/docs">API</a>
      </footer>
      <script src={addressOf("live.js")} defer />
    </Document>,
  );
}

function Navigation({ entries }: { entries: Frame["navigation"] }) {
  return (
    <nav aria-label="Pages">
      {entries.map(({ label, path, isCurrent }) => (
        <a href={path} aria-current={isCurrent ? "page" : undefined}>
          {label}
        </a>
      ))}
    </nav>
  );
}

/** The navigation alone, for a page that another program renders. */
export function renderNavigation(entries: Frame["navigation"]): string {
  return renderToString(
    <header class="retrigger-top">
      <a class="brand" href="/">
        Retrigger
      </a>
      <Navigation entries={entries} />
    </header>,
  );
}

/** What such a page loads for it. */
export function renderFrameHead(): string {
  return renderToString(<link rel="stylesheet" href={addressOf("frame.css")} />);
}

/** A page without navigation, for callers who are not known and for problems. */
export function renderBare({ children, ...head }: Head & { children: ComponentChildren }): string {
  return render(
    <Document {...head}>
      <main id="main" class="bare">
        <p>
          <a class="brand" href="/">
            Retrigger
          </a>
        </p>
        {children}
      </main>
    </Document>,
  );
}

function Document({ title, tone = "calm", reloadSeconds, children }: Head & { children: ComponentChildren }) {
  return (
    <html lang="en">
      <head>
        <meta charset="utf-8" />
        <meta name="viewport" content="width=device-width, initial-scale=1" />
        <meta name="color-scheme" content="light dark" />
        {reloadSeconds !== undefined && <meta http-equiv="refresh" content={String(reloadSeconds)} />}
        <title>{`${title} · Retrigger`}</title>
        <link id="icon" rel="icon" type="image/svg+xml" href={`/assets/icon-${tone}.svg`} />
        <link rel="stylesheet" href={addressOf("style.css")} />
      </head>
      <body>{children}</body>
    </html>
  );
}

function render(document: preact.JSX.Element): string {
  return `<!doctype html>\n${renderToString(document)}\n`;
}
