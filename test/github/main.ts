import { startFakeGitHub } from "./fake-github.ts";

/** A fake GitHub to experiment with: `npm run fake:github`. It accepts any token, and its trainings take some seconds. */
const { url } = await startFakeGitHub(
  { token: null, course: { queuedMs: 1_000, runningMs: 4_000, conclusion: "success" } },
  4_600,
);
console.log(`A GitHub that trains nothing: ${url}`);
console.log(`TRAINER=github GITHUB_API_URL=${url} npm run demo -- --once`);
