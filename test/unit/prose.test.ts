import { h } from "preact";
import { renderToString } from "preact-render-to-string";
import { describe, expect, it } from "vitest";
import { Prose } from "../../src/http/parts/prose.tsx";

const NOW = Date.parse("2026-11-29T12:00:00Z");
const render = (text: string): string => renderToString(h(Prose, { text, now: NOW }));

describe("a text on a page", () => {
  it("has its instants as times, with their distance", () => {
    const html = render("Held until 2026-11-29 14:00 UTC, since 2026-11-29 11:00:30 UTC.");
    expect([...html.matchAll(/datetime="([^"]+)"/gi)].map(([, at]) => at)).toEqual([
      "2026-11-29T14:00:00.000Z",
      "2026-11-29T11:00:30.000Z",
    ]);
    expect(html.replaceAll(/<[^>]+>/g, "")).toBe(
      "Held until 2026-11-29 14:00 (in 2 h), since 2026-11-29 11:00 (60 min ago).",
    );
  });

  it.each([
    "until 2026-13-45 25:99 UTC",
    // JavaScript would take these for 3 March and for the next day.
    "until 2026-02-31 10:00 UTC",
    "until 2026-11-28 24:00 UTC",
    "run 12026-11-29 14:00 UTC",
    "at 2026-11-29 14:00 UTCx",
  ])("stays as it was written where it has no instant: %s", (text) => {
    expect(render(text)).toBe(text);
  });
});
