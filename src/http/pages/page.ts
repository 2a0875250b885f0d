import type { ComponentChildren } from "preact";
import type { Actor, Role } from "../../core/access.ts";
import type { Tone } from "../../core/standing.ts";
import type { Requester } from "../../use-cases/client.ts";
import type { PageReader } from "../../use-cases/page-reader.ts";
import type { Route, RouteDependencies } from "../route.ts";

/** What pages and actions work with. */
export interface PageDependencies extends RouteDependencies {
  client: Requester;
  reader: PageReader;
}

/** A request for a page. */
export interface PageCall {
  params: Readonly<Record<string, string>>;
  query: Readonly<Record<string, string | undefined>>;
  caller: Actor & { role: Role };
  /** Whether the caller may change things: an operator. */
  mayAct: boolean;
  /** Unix milliseconds. */
  now: number;
}

/** A page to be shown. */
export interface View {
  title: string;
  /** The state that its icon and title carry. */
  tone?: Tone;
  /** 200 unless it says otherwise. */
  status?: number;
  body: ComponentChildren;
  /** How often an open page reads itself again, in milliseconds; without it, when a decision or a training changes. */
  refreshMs?: number;
  /** The only model whose changes it shows. */
  model?: string;
}

export type PageReply = View | { redirect: string } | { csv: string; name: string };

/** A page. To add one, add a file and a line in `pages.ts`. */
export interface Page {
  /** With placeholders such as `:model`. */
  path: string;
  role: Role;
  /** Its name in the navigation; absent for a page that others link to. */
  navigation?: string;
  requires: Route["requires"];
  load(call: PageCall, dependencies: PageDependencies): Promise<PageReply>;
}

/** A change that a form on a page makes. To add one, add it to a file of actions and that file's list to `actions.ts`. */
export interface Action {
  path: string;
  role: Role;
  requires: Route["requires"];
  /** Carries it out and says where to go next. @throws an error that the caller sees as a page. */
  run(
    call: PageCall & { fields: Readonly<Record<string, string | undefined>> },
    dependencies: PageDependencies,
  ): Promise<PageReply>;
}
