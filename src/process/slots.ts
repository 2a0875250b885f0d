/** Limits how much of some work runs at once in this process. */
export interface Slots {
  /** Takes a slot and returns the function that releases it (idempotent), or null if all are taken. */
  take(): (() => void) | null;
}

/** @param limit How many slots may be taken at once. */
export function createSlots(limit: number): Slots {
  let taken = 0;
  return {
    take() {
      if (taken >= limit) return null;
      taken += 1;
      let isHeld = true;
      return () => {
        if (isHeld) taken -= 1;
        isHeld = false;
      };
    },
  };
}
