import { PAGES } from "./pages/pages.ts";

/** The pages of the navigation, and Bull Board, which has a server of its own within this one. */
export function listNavigation(current: string): { label: string; path: string; isCurrent: boolean }[] {
  const own = PAGES.flatMap(({ navigation: label, path }) => (label === undefined ? [] : [{ label, path }]));
  const position = own.findIndex(({ path }) => path === "/health");
  return own.toSpliced(position, 0, { label: "Queues", path: "/queues" }).map((entry) => ({
    ...entry,
    isCurrent: current === entry.path || (entry.path !== "/" && current.startsWith(`${entry.path}/`)),
  }));
}
