import { PAGES } from "./pages/pages.ts";

/** Pages of other programs within this server, by the page of ours that they come before. */
const FOREIGN = { label: "Queues", path: "/queues", before: "/health" } as const;

/** The navigation, in which the current page is marked. */
export function listNavigation(current: string): { label: string; path: string; isCurrent: boolean }[] {
  const entries = PAGES.flatMap(({ navigation: label, path }) => {
    if (label === undefined) return [];
    return path === FOREIGN.before ? [FOREIGN, { label, path }] : [{ label, path }];
  });
  return entries.map(({ label, path }) => ({
    label,
    path,
    isCurrent: current === path || (path !== "/" && current.startsWith(`${path}/`)),
  }));
}
