/** A bounded number of places in this process, for work that takes long. */
export interface Slots {
  /** Takes a place and returns what gives it back (calling that twice gives back one), or null if all are taken. */
  take(): (() => void) | null;
}

/** @param limit How many may be taken at once. */
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
