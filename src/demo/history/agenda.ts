/** What is still to happen, by its time. */
export interface Agenda {
  /** Returns a function that removes it. */
  add(at: number, act: Act): () => void;
  /** Takes off and returns what comes first; of several at the same time, what was added first. Null if nothing is left. */
  takeFirst(): Entry | null;
}

type Act = () => Promise<void>;

interface Entry {
  /** Unix milliseconds. */
  at: number;
  act: Act;
}

export function createAgenda(): Agenda {
  const entries = new Set<Entry>();
  return {
    add(at, act) {
      const entry = { at, act };
      entries.add(entry);
      return () => void entries.delete(entry);
    },
    takeFirst() {
      const [first = null] = [...entries].toSorted((a, b) => a.at - b.at);
      if (first !== null) entries.delete(first);
      return first;
    },
  };
}
