import type { FakeGitHub } from "../github/fake-github.ts";

interface Misbehaviour {
  github: Partial<Pick<FakeGitHub, "next" | "course" | "listLagMs" | "isOldServer">>;
  /** Whether GitHub starts two trainings for one request. */
  doublesRuns?: boolean;
}

const SHORT = { queuedMs: 100, runningMs: 300 };

/** Every known way in which GitHub misbehaves at the first request. */
const ALL = {
  well: { github: {} },
  "accepts, then drops the connection": { github: { next: ["accept and drop"] } },
  "accepts, and answers 502": { github: { next: ["accept and 502"] } },
  "answers 500": { github: { next: ["500"] } },
  "drops the connection": { github: { next: ["drop"] } },
  "shows the run late": { github: { next: ["accept and drop"], listLagMs: 1_200 } },
  "answers 204": { github: { next: ["204"] } },
  "answers 204, and shows the run late": { github: { next: ["204"], listLagMs: 1_200 } },
  "answers 401": { github: { next: ["401 quoting"] } },
  "answers 403": { github: { next: ["403"] } },
  "answers 404": { github: { next: ["404"] } },
  "knows no trigger": { github: { next: ["422 trigger"] } },
  "knows no such input": { github: { next: ["422 inputs"] } },
  "knows no such ref": { github: { next: ["422 ref"] } },
  "has the workflow disabled": { github: { next: ["422 disabled"] } },
  "limits by 429 and retry-after": { github: { next: ["429 retry-after"] } },
  "limits by 403 and retry-after": { github: { next: ["403 retry-after"] } },
  "limits by reset": { github: { next: ["403 reset"] } },
  "starts two": { github: { next: ["double"] }, doublesRuns: true },
  "starts two, and drops the connection": { github: { next: ["double and drop"] }, doublesRuns: true },
  "starts two, and names the newer": { github: { next: ["double, naming the newer"] }, doublesRuns: true },
  "starts two, names the newer, and shows them late": {
    github: { next: ["double, naming the newer"], listLagMs: 800 },
    doublesRuns: true,
  },
  "cancels the run": { github: { course: { ...SHORT, conclusion: "cancelled" } } },
  "fails the run": { github: { course: { ...SHORT, conclusion: "failure" } } },
  "uses unknown words": {
    github: { course: { ...SHORT, conclusion: "quantum_flux", strangeStatus: "pondering" } },
  },
  "each answer is lost": { github: { next: Array.from({ length: 50 }, () => "accept and drop" as const) } },
} satisfies Record<string, Misbehaviour>;

export type MisbehaviourName = keyof typeof ALL;
export const MISBEHAVIOURS: Readonly<Record<MisbehaviourName, Misbehaviour>> = ALL;
