import { messageOf } from "../../core/errors.ts";
import { describeFinding, fault, type Finding } from "../../core/finding.ts";
import { formatCount } from "../../core/format.ts";
import { needsPerson, STANDINGS, type Tone } from "../../core/standing.ts";
import { createLogger } from "../../process/logger.ts";
import { isSettledWithin } from "../../process/lifecycle.ts";
import { diagnose } from "../../use-cases/doctor/doctor.ts";
import { FEW_MODELS, summarize } from "../../use-cases/doctor/summarize.ts";
import { listStandings, type ModelStanding } from "../../use-cases/overview.ts";
import { Badge } from "../parts/badge.tsx";
import { ModelLink } from "../parts/links.tsx";
import { Time } from "../parts/time.tsx";
import { currentConfig } from "../current-config.ts";
import { checkReadiness } from "../readiness.ts";
import type { Page, PageDependencies } from "./page.ts";
import { Table } from "../parts/table.tsx";

/** A diagnosis reads every source, so one serves all who look within this time. */
const KEPT_MS = 30_000;
/** The first reader waits so long for it. */
const WAIT_MS = 50;
const QUEUES_LIMIT_MS = 1_000;

interface Diagnosis {
  findings: Finding[];
  at: number;
}

/** The newest diagnosis of a service, and the one that is under way. */
interface Kept {
  latest: Diagnosis | null;
  running: Promise<void> | null;
}

const known = new WeakMap<object, Kept>();

/** What `retrigger doctor` finds, and the queues; reads itself again while it is open. */
export const healthPage: Page = {
  path: "/health",
  role: "viewer",
  navigation: "Health",
  requires: [],
  async load({ now }, dependencies) {
    const { database, redisWatch } = dependencies;
    const own = known.get(database) ?? { latest: null, running: null };
    known.set(database, own);
    if (own.latest === null || now - own.latest.at > KEPT_MS) own.running ??= renew(own, dependencies);
    const [readiness, queues] = await Promise.all([
      checkReadiness(database, redisWatch),
      countJobs(dependencies),
      own.running && own.latest === null ? isSettledWithin(own.running, WAIT_MS) : null,
    ]);
    const urgent = readiness.postgres === "up" ? await listUrgent(dependencies) : [];
    const { latest, running } = own;
    const findings = latest?.findings ?? [];
    const faults = findings.filter(({ level }) => level === "fault").length;
    const warnings = findings.filter(({ level }) => level === "warning").length;
    const failed = queues?.reduce((sum, queue) => sum + queue.failed, 0) ?? 0;
    const tone =
      !readiness.isReady || faults > 0 ? "bad" : warnings + failed + urgent.length > 0 ? "act" : "good";
    return {
      title: { bad: "Faults · Health", act: "Warnings · Health", good: "Health" }[tone],
      tone,
      refreshMs: running === null ? 15_000 : 1_000,
      body: (
        <>
          <h1>Health</h1>
          <section id="servers" data-part class="panel">
            <h2>Servers</h2>
            <p>
              Postgres <State isUp={readiness.postgres === "up"} /> Redis{" "}
              <State isUp={readiness.redis === "up"} />
            </p>
            {readiness.reason !== undefined && <p class="notice">{readiness.reason}</p>}
          </section>
          <section id="urgent" data-part class="panel">
            <h2>Models that need a person</h2>
            {urgent.length === 0 ? (
              <p class="soft">None.</p>
            ) : (
              <ul class="tree">
                {urgent.slice(0, SHOWN_MODELS).map(({ model, standing }) => (
                  <li>
                    <Badge tone={STANDINGS[standing].tone}>{STANDINGS[standing].label}</Badge>{" "}
                    <ModelLink model={model} />
                  </li>
                ))}
                {urgent.length > SHOWN_MODELS && (
                  <li>
                    <a href="/">{`${formatCount(urgent.length - SHOWN_MODELS)} more on the overview`}</a>
                  </li>
                )}
              </ul>
            )}
          </section>
          <section id="queues" data-part class="panel">
            <h2>Queues</h2>
            {queues === null ? (
              <p class="empty">Redis does not respond, so the queues are not known.</p>
            ) : (
              <Table
                label="Queues"
                columns={["Queue", ...STATES.map((label) => ({ label, isNumber: true }) as const)]}
              >
                {queues.map((queue) => (
                  <tr>
                    <th scope="row">
                      <a href={`/queues/queue/${queue.name}`}>{queue.name}</a>
                      {queue.isPaused && <Badge tone="act">paused</Badge>}
                    </th>
                    {STATES.map((state) => (
                      <td class="number">
                        {state === "failed" && queue.failed > 0 ? (
                          <a href={`/queues/queue/${queue.name}?status=failed`}>
                            {formatCount(queue.failed)}
                          </a>
                        ) : (
                          formatCount(queue[state])
                        )}
                      </td>
                    ))}
                  </tr>
                ))}
              </Table>
            )}
          </section>
          <section id="verification" data-part class="panel">
            <h2>Recorded decisions</h2>
            <p>
              <a href="/verification">Verify that they are what was recorded</a>
            </p>
          </section>
          <section id="findings" data-part class="panel">
            <h2>Doctor</h2>
            {latest === null ? (
              <p class="empty">
                The sources and trainers are being checked. This page shows the result when it is there.
              </p>
            ) : (
              <>
                <p class="soft">
                  {`${formatCount(faults)} ${faults === 1 ? "fault" : "faults"}, ${formatCount(warnings)} ${warnings === 1 ? "warning" : "warnings"}. Checked `}
                  <Time at={new Date(latest.at).toISOString()} now={now} />
                  {running !== null && "; a new check is under way"}.
                </p>
                <Findings findings={findings.filter(({ level }) => level === "fault")} />
                <Findings findings={findings.filter(({ level }) => level === "warning")} />
                <details class="data">
                  <summary>{`${formatCount(findings.length - faults - warnings)} checks found nothing wrong`}</summary>
                  <Findings findings={findings.filter(({ level }) => level === "ok")} />
                </details>
              </>
            )}
          </section>
        </>
      ),
    };
  },
};

const TONES: Readonly<Record<Finding["level"], Tone>> = { fault: "bad", warning: "act", ok: "good" };
const STATES = ["waiting", "active", "delayed", "failed", "completed"] as const;

function Findings({ findings }: { findings: readonly Finding[] }) {
  return (
    <ul class="tree">
      {findings.map((finding) => (
        <li>
          <Badge tone={TONES[finding.level]}>{finding.level}</Badge> {describeFinding(finding)}
          {finding.remedy !== undefined && <small>{finding.remedy}</small>}
        </li>
      ))}
    </ul>
  );
}

function State({ isUp }: { isUp: boolean }) {
  return <Badge tone={isUp ? "good" : "bad"}>{isUp ? "up" : "away"}</Badge>;
}

const SHOWN_MODELS = 20;

async function listUrgent({ database, live }: PageDependencies): Promise<ModelStanding[]> {
  const all = await listStandings(database, live.models()).catch(() => []);
  return all.filter(({ standing }) => needsPerson(standing));
}

async function renew(own: Kept, dependencies: PageDependencies): Promise<void> {
  const all = await find(dependencies);
  const models = dependencies.live.models().size;
  const findings = models <= FEW_MODELS ? all : summarize(all, models);
  own.latest = { findings, at: Date.now() };
  own.running = null;
}

async function find(dependencies: PageDependencies): Promise<Finding[]> {
  try {
    return await diagnose(currentConfig(dependencies), createLogger("silent"), { checksAllTrainers: false });
  } catch (error) {
    dependencies.log.debug({ err: error }, "the diagnosis failed");
    return [fault(`The diagnosis failed: ${messageOf(error)}`)];
  }
}

type JobCounts = { name: string; isPaused: boolean } & Record<(typeof STATES)[number], number>;

/** null while Redis is away. */
async function countJobs({ queues }: Pick<PageDependencies, "queues">): Promise<JobCounts[] | null> {
  const counting = Promise.all(
    queues.map(async (queue) => {
      const counts = await queue.getJobCounts(
        "wait",
        "prioritized",
        "waiting-children",
        "active",
        "delayed",
        "failed",
        "completed",
      );
      const of = (...states: string[]): number =>
        states.reduce((sum, state) => sum + (counts[state] ?? 0), 0);
      return {
        name: queue.name,
        isPaused: await queue.isPaused(),
        waiting: of("waiting", "wait", "prioritized", "waiting-children"),
        active: of("active"),
        delayed: of("delayed"),
        failed: of("failed"),
        completed: of("completed"),
      };
    }),
  ).catch(() => null);
  return (await isSettledWithin(counting, QUEUES_LIMIT_MS)) ? counting : null;
}
