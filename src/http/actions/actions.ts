import type { Action } from "../pages/page.ts";
import { decisionActions } from "./decision-actions.ts";
import { modelActions } from "./model-actions.ts";
import { tokenActions } from "./token-actions.tsx";

/** Every change that a form on a page makes. */
export const ACTIONS: readonly Action[] = [...modelActions, ...decisionActions, ...tokenActions];
