/** What a page says after an action, by the word in its address. Fixed texts: an address may come from anywhere. */
const NOTICES = {
  snoozed: "Snoozed. No training of this model starts before the snooze ends.",
  unsnoozed: "The snooze has ended, and the model is re-evaluated if the snooze held it back.",
  rejected: "Rejected. No training is requested for this.",
  retried: "The request is being sent again. This page shows the response.",
  resent: "The request is being sent again. This page shows the response.",
  confirmed: "Confirmed. The training is followed to its end.",
  revoked: "Revoked. The token and its sessions no longer work.",
} as const;
export type Notice = keyof typeof NOTICES;

/** The text for a word; null for none that is known. */
export function noticeOf(word: unknown): string | null {
  return typeof word === "string" && Object.hasOwn(NOTICES, word) ? NOTICES[word as Notice] : null;
}
