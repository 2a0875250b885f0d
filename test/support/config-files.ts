/** The file of the issue, as it stands there. */
export const FILE_OF_THE_ISSUE = `
defaults:
  schedule: "0 6 * * *"
  spread: 10m
models:
  films:
    source:
      checks: { table: films.drift_log, columns: { feature: metric, score: value, threshold: limit, triggered: fired, checkedAt: created_at, samples: n }, where: { model: films } }
      buffer: { table: films.events, unit: events, columns: { batch: null, time: event_time, ingestedAt: loaded_at }, since: lastTraining }
    trainer: { github: { workflow: film_training.yml, extraInputs: { model: films } } }
    expectDriftRunEvery: 8d
    policy:
      when:
        all:
          - recentDriftChecks: { within: 7d }
          - any:
              - driftAlerts: { atLeast: 1, within: 7d }
              - features: { atLeast: 2, of: [ks, mean, std] }
              - severity: { worst: 2.0 }
              - consecutiveRuns: 3
              - maxAge: 60d
          - bufferSize: 50000
      guards:
        cooldown: 7d
        quietHours: { days: [sat, sun], zone: Europe/Paris }
        budget: { atMost: 4, per: 30d }
        dataQuality: { veto: [null_rate] }
        approval: { expires: 24h }
  fraud:
    source: { checks: reported, buffer: reported }
`;

/** What is wrong, the file, and the exact faults. */
export const FAULTY_FILES: [string, string | Uint8Array, string[]][] = [
  [
    "nothing in it",
    "",
    ["is empty: write models into it, such as models: { films: {} }, or unset RETRIGGER_CONFIG (line 1)"],
  ],
  [
    "comments only",
    "# models:\n",
    ["is empty: write models into it, such as models: { films: {} }, or unset RETRIGGER_CONFIG (line 1)"],
  ],
  [
    "a list",
    "- films",
    ["expected a mapping with defaults and models, got a list: is RETRIGGER_CONFIG the right file? (line 1)"],
  ],
  [
    "a text",
    "hello",
    ["expected a mapping with defaults and models, got text: is RETRIGGER_CONFIG the right file? (line 1)"],
  ],
  [
    "a .env file named by mistake",
    "TRAINER_SECRET=very-secret-0815\nDATABASE_URL=postgres://u:very-secret-0815@host/db\n",
    ["expected a mapping with defaults and models, got text: is RETRIGGER_CONFIG the right file? (line 1)"],
  ],
  [
    "a .env file with a colon",
    "TRAINER_SECRET=very-secret-0815: x\n",
    [
      "a key: is not a part of the file, which has defaults and models: is RETRIGGER_CONFIG the right file? (line 1)",
    ],
  ],
  [
    "an unknown part",
    "default: {}\nmodels: { a: }",
    ['default: "default" is not a part of the file: did you mean defaults? (line 1)'],
  ],
  [
    "a setting at the top",
    "schedule: off\nmodels: { a: }",
    ["schedule: belongs under defaults, or under a model in models (line 1)"],
  ],
  [
    "no model",
    "models: {}",
    [
      "models: expected at least one model, such as films: {}; without models, the file is about default (line 1)",
    ],
  ],
  [
    "models left open",
    "models:\n",
    [
      "models: expected at least one model, such as films: {}; without models, the file is about default (line 1)",
    ],
  ],
  [
    "a list of models",
    "models: [films]",
    ["models: expected models by their names, such as { films: {} }; got a list (line 1)"],
  ],
  [
    "defaults that are a list",
    "defaults: [1]",
    [
      "defaults: expected a mapping with schedule, spread, expectDriftRunEvery, source, trainer, outcomes, policy, shadow, got a list (line 1)",
    ],
  ],
  [
    "a model that is a text",
    "models:\n  a: fast",
    [
      'models.a: expected a mapping with schedule, spread, expectDriftRunEvery, source, trainer, outcomes, policy, shadow, got "fast" (line 2)',
    ],
  ],
  [
    "two models of one name",
    "models:\n  a: {}\n  b: {}\n  a: {}",
    ["models.a: there is a model of this name already, on line 2: rename one of them (line 4)"],
  ],
  [
    "a key twice",
    "models:\n  a:\n    schedule: off\n    schedule: off",
    ["models.a.schedule: it stands on line 3 already: remove one of them (line 4)"],
  ],
  [
    "a model's name out of bounds",
    "models:\n  .hidden: {}\n  __proto__: {}",
    [
      'models.".hidden": expected 1 to 100 letters, digits, dots, dashes or underscores, the first a letter or digit (line 2)',
      "models.__proto__: expected 1 to 100 letters, digits, dots, dashes or underscores, the first a letter or digit (line 3)",
    ],
  ],
  [
    "a misspelt key",
    "models: { a: { polisy: {} } }",
    ['models.a.polisy: "polisy" is not a setting of a model: did you mean policy? (line 1)'],
  ],
  [
    "a variable as key",
    "models: { a: { MIN_BUFFER_SIZE: 3 } }",
    [
      'models.a.MIN_BUFFER_SIZE: "MIN_BUFFER_SIZE" is not a setting of a model: it is one of schedule, spread, expectDriftRunEvery, source, trainer, outcomes, policy, shadow (line 1)',
    ],
  ],
  [
    "a criterion under the model",
    "models: { a: { driftAlerts: 1 } }",
    ["models.a.driftAlerts: belongs under policy.when (line 1)"],
  ],
  [
    "a guard under the model",
    "models: { a: { cooldown: 7d } }",
    ["models.a.cooldown: belongs under policy.guards (line 1)"],
  ],
  [
    "a trainer under the model",
    "models: { a: { github: {} } }",
    ["models.a.github: belongs under trainer (line 1)"],
  ],
  [
    "the flat thresholds",
    "models:\n  films:\n    minBufferSize: 100000\n    driftLookbackHours: 72\n    minAlertsTriggered: 2",
    [
      "models.films.minBufferSize: now written as policy: { when: { recentDriftChecks: 3d, driftAlerts: { atLeast: 2, within: 3d }, bufferSize: 100000 } } (line 3)",
      "models.films.driftLookbackHours: now written as policy: { when: { recentDriftChecks: 3d, driftAlerts: { atLeast: 2, within: 3d }, bufferSize: 100000 } } (line 4)",
      "models.films.minAlertsTriggered: now written as policy: { when: { recentDriftChecks: 3d, driftAlerts: { atLeast: 2, within: 3d }, bufferSize: 100000 } } (line 5)",
    ],
  ],
  [
    "the flat guards and tables",
    "models:\n  films:\n    retriggerGuard: false\n    trainingInFlightGuard: on\n    driftAlertsTable: films.drift_alerts\n    ratingsBufferTable: films.ratings_buffer",
    [
      "models.films.retriggerGuard: now written as policy: { guards: { alreadyActedOn: off } } (line 3)",
      "models.films.trainingInFlightGuard: now written as policy: { guards: { trainingInFlight: on } } (line 4)",
      "models.films.driftAlertsTable: now written as source: { checks: { table: films.drift_alerts } } (line 5)",
      "models.films.ratingsBufferTable: now written as source: { buffer: { table: films.ratings_buffer } } (line 6)",
    ],
  ],
  [
    "the flat trainer",
    "models:\n  films:\n    githubWorkflow: film_training.yml\n    githubExtraInputs: { model: films }",
    [
      "models.films.githubWorkflow: now written as trainer: { mock: { workflow: film_training.yml } } (line 3)",
      "models.films.githubExtraInputs: now written as trainer: { mock: { extraInputs: { model: ... } } } (line 4)",
    ],
  ],
  [
    "a schedule left open",
    "models:\n  a:\n    schedule:",
    ['models.a.schedule: expected a cron pattern in UTC such as "0 6 * * *", or off, got nothing (line 3)'],
  ],
  [
    "a schedule that is a number",
    "models: { a: { schedule: 6 } }",
    ['models.a.schedule: expected a cron pattern in UTC such as "0 6 * * *", or off, got 6 (line 1)'],
  ],
  [
    "a schedule that is none",
    "models: { a: { schedule: every day } }",
    [
      'models.a.schedule: expected a cron pattern in UTC such as "0 6 * * *", or off, got "every day" (line 1)',
    ],
  ],
  [
    "a schedule that never fires",
    'models: { a: { schedule: "0 0 30 2 *" } }',
    [
      'models.a.schedule: expected to fire at least once: none of its months has that day. Correct it, or set it to off; got "0 0 30 2 *" (line 1)',
    ],
  ],
  [
    "too long a spread",
    "models: { a: { spread: 25h } }",
    ['models.a.spread: expected a duration from 0s to 1d, got "25h" (line 1)'],
  ],
  [
    "no duration",
    "models: { a: { spread: 600 } }",
    ["models.a.spread: expected a duration such as 7d, 24h, 10m or 30s, got 600 (line 1)"],
  ],
  [
    "outcomes from nowhere",
    "models: { a: { outcomes: { vew: x, mlflow: [x] } } }",
    [
      'models.a.outcomes.vew: "vew" is not a setting of outcomes: did you mean view? (line 1)',
      "models.a.outcomes.mlflow: expected the name of a registered model, got a list (line 1)",
    ],
  ],
  [
    "an expectation on nothing",
    "models: { a: { expectDriftRunEvery:  } }",
    [
      "models.a.expectDriftRunEvery: expected a duration such as 8d, from 1m to 3650d, or off, got nothing (line 1)",
    ],
  ],
  [
    "an unknown part of the policy",
    "models: { a: { policy: { wen: [] } } }",
    ['models.a.policy.wen: "wen" is not part of a policy: did you mean when? (line 1)'],
  ],
  [
    "a policy that is a list",
    "models: { a: { policy: [] } }",
    ["models.a.policy: expected when and guards, got an empty list (line 1)"],
  ],
  [
    "an empty when",
    "models: { a: { policy: { when: {} } } }",
    ["models.a.policy.when: expected at least one criterion: an empty condition says nothing (line 1)"],
  ],
  [
    "an empty list",
    "models: { a: { policy: { when: [] } } }",
    ["models.a.policy.when: expected at least one criterion: an empty condition says nothing (line 1)"],
  ],
  [
    "when left open",
    "models: { a: { policy: { when:  } } }",
    [
      "models.a.policy.when: expected a criterion such as driftAlerts: 1, or a list of them; got nothing (line 1)",
    ],
  ],
  [
    "an empty any",
    "models: { a: { policy: { when: { any: [] } } } }",
    ["models.a.policy.when.any: expected at least one criterion: an empty condition says nothing (line 1)"],
  ],
  [
    "an any that is no list",
    "models: { a: { policy: { when: { any: { driftAlerts: 1 } } } } }",
    ["models.a.policy.when.any: expected a list of criteria, got a mapping (line 1)"],
  ],
  [
    "a misspelt criterion",
    "models: { a: { policy: { when: { all: [ { bufersize: 1 } ] } } } }",
    [
      'models.a.policy.when.all[0].bufersize: "bufersize" is not a criterion: did you mean bufferSize? (line 1)',
    ],
  ],
  [
    "a criterion without colon",
    "models: { a: { policy: { when: [driftAlerts] } } }",
    [
      'models.a.policy.when[0]: expected a criterion such as driftAlerts: 1, or a list of them; got "driftAlerts" (line 1)',
    ],
  ],
  [
    "conditions nested too deeply",
    "models: { a: { policy: { when: [[[[[[[maxAge: 1d]]]]]]] } } }",
    ["models.a.policy.when[0][0][0][0][0][0]: expected at most 6 levels (line 1)"],
  ],
  [
    "a condition that always holds",
    "models: { a: { policy: { when: { recentDriftChecks: 7d } } } }",
    [
      "models.a.policy.when: expected a criterion that is a reason to retrain, such as driftAlerts or maxAge: recentDriftChecks alone would retrain all the time (line 1)",
    ],
  ],
  [
    "an atLeast that cannot be reached",
    "models: { a: { policy: { when: { atLeast: 3, of: [ { maxAge: 1d }, { driftAlerts: 1 } ] } } } }",
    [
      "models.a.policy.when.atLeast: expected at most 2, the number of conditions in of: else it can never hold; got 3 (line 1)",
    ],
  ],
  [
    "half of an atLeast",
    "models: { a: { policy: { when: { of: [ { maxAge: 1d } ] } } } }",
    ["models.a.policy.when.of: expected both, such as { atLeast: 2, of: [...] } (line 1)"],
  ],
  [
    "a sample floor twice",
    "models: { a: { policy: { when: [ { sampleFloor: 2 }, { driftAlerts: 1 }, { sampleFloor: 3 } ] } } }",
    ["models.a.policy.when: sampleFloor applies to the whole policy, so it may be named once (line 1)"],
  ],
  [
    "a text for a number",
    "models: { a: { policy: { when: [ { driftAlerts: 1 }, { bufferSize: 50k } ] } } }",
    ['models.a.policy.when[1].bufferSize: expected a whole number, got "50k" (line 1)'],
  ],
  [
    "a fraction",
    "models: { a: { policy: { when: { bufferSize: 1.5 } } } }",
    ["models.a.policy.when.bufferSize: expected a whole number, got 1.5 (line 1)"],
  ],
  [
    "a negative number",
    "models: { a: { policy: { when: { bufferSize: -1 } } } }",
    ["models.a.policy.when.bufferSize: expected a whole number from 0 to 1000000000000, got -1 (line 1)"],
  ],
  [
    "a huge number",
    "models: { a: { policy: { when: { bufferSize: 99999999999999999999 } } } }",
    ["models.a.policy.when.bufferSize: expected a whole number, got 99999999999999999999 (line 1)"],
  ],
  [
    "a comma in a number",
    'models: { a: { policy: { when: { bufferSize: "50,000" } } } }',
    ['models.a.policy.when.bufferSize: expected a whole number, got "50,000" (line 1)'],
  ],
  [
    "true for a number",
    "models: { a: { policy: { when: { bufferSize: true } } } }",
    ["models.a.policy.when.bufferSize: expected a whole number, got true (line 1)"],
  ],
  [
    "a list for a number",
    "models: { a: { policy: { when: { driftAlerts: { atLeast: [1] } } } } }",
    ["models.a.policy.when.driftAlerts.atLeast: expected a whole number, got a list (line 1)"],
  ],
  [
    "a misspelt setting",
    "models: { a: { policy: { when: { driftAlerts: { atleast_: 1, with: 7d } } } } }",
    [
      'models.a.policy.when.driftAlerts.atleast_: "atleast_" is not a setting of driftAlerts: did you mean atLeast? (line 1)',
      'models.a.policy.when.driftAlerts.with: "with" is not a setting of driftAlerts: did you mean within? (line 1)',
    ],
  ],
  [
    "an infinite number",
    "models: { a: { policy: { when: { severity: .inf } } } }",
    ["models.a.policy.when.severity: expected a number, got .inf (line 1)"],
  ],
  [
    "no duration but words",
    "models: { a: { policy: { when: { maxAge: 60 days } } } }",
    ['models.a.policy.when.maxAge: expected a duration such as 7d, 24h, 10m or 30s, got "60 days" (line 1)'],
  ],
  [
    "too many features required",
    "models: { a: { policy: { when: { features: { atLeast: 3, of: [ks, mean] } } } } }",
    [
      "models.a.policy.when.features.atLeast: expected at most 2, which is what the named features can reach (line 1)",
    ],
  ],
  [
    "no features",
    "models: { a: { policy: { when: { features: { of: [] } } } } }",
    ["models.a.policy.when.features.of: expected at least one feature, got an empty list (line 1)"],
  ],
  [
    "a weight that is a text",
    "models: { a: { policy: { when: { features: { weights: { ks: x } } } } } }",
    ['models.a.policy.when.features.weights.ks: expected a number, got "x" (line 1)'],
  ],
  [
    "a misspelt guard",
    "models: { a: { policy: { guards: { coldown: 7d } } } }",
    ['models.a.policy.guards.coldown: "coldown" is not a guard: did you mean cooldown? (line 1)'],
  ],
  [
    "guards as a list",
    "models: { a: { policy: { guards: [cooldown] } } }",
    ["models.a.policy.guards: expected guards such as cooldown: 7d; got a list (line 1)"],
  ],
  [
    "a cooldown without length",
    "models: { a: { policy: { guards: { cooldown: on } } } }",
    ['models.a.policy.guards.cooldown: the setting "for" is missing (line 1)'],
  ],
  [
    "a cooldown longer than the history",
    "models: { a: { policy: { guards: { cooldown: 4000d } } } }",
    ['models.a.policy.guards.cooldown: expected a duration from 1s to 3650d, got "4000d" (line 1)'],
  ],
  [
    "a budget of nothing, for longer than the history",
    "models: { a: { policy: { guards: { budget: { atMost: 0, per: 20y } } } } }",
    [
      "models.a.policy.guards.budget.atMost: expected a whole number from 1 to 1000, got 0 (line 1)",
      'models.a.policy.guards.budget.per: expected a duration such as 7d, 24h, 10m or 30s, got "20y" (line 1)',
    ],
  ],
  [
    "half a budget",
    "models: { a: { policy: { guards: { budget: { atMost: 4 } } } } }",
    ['models.a.policy.guards.budget: the setting "per" is missing (line 1)'],
  ],
  [
    "a budget that is a word",
    "models: { a: { policy: { guards: { budget: weekly } } } }",
    ['models.a.policy.guards.budget: expected a mapping with atMost and per, got "weekly" (line 1)'],
  ],
  [
    "quiet hours that never end",
    "models: { a: { policy: { guards: { quietHours: { days: [mon, tue, wed, thu, fri, sat, sun] } } } } }",
    [
      "models.a.policy.guards.quietHours.days: expected at least one day without quiet hours: else they would never end (line 1)",
    ],
  ],
  [
    "quiet hours that say nothing",
    "models: { a: { policy: { guards: { quietHours: { zone: Europe/Paris } } } } }",
    ["models.a.policy.guards.quietHours: quietHours needs days or hours: else it would never end (line 1)"],
  ],
  [
    "faulty quiet hours",
    "models: { a: { policy: { guards: { quietHours: { days: [sunday], hours: 25:00-26:00, zone: Mars/X } } } } }",
    [
      'models.a.policy.guards.quietHours.days[0]: expected a day: mon, tue, wed, thu, fri, sat, sun; got "sunday" (line 1)',
      'models.a.policy.guards.quietHours.hours: expected hours such as 22:00-06:00; got "25:00-26:00" (line 1)',
      'models.a.policy.guards.quietHours.zone: expected an IANA time zone such as Europe/Paris, got "Mars/X" (line 1)',
    ],
  ],
  [
    "an unknown choice",
    "models: { a: { policy: { guards: { cooldown: { for: 1d, since: start } } } } }",
    ['models.a.policy.guards.cooldown.since: expected training or success, got "start" (line 1)'],
  ],
  [
    "a switch that is neither on nor off",
    "models: { a: { policy: { guards: { alreadyActedOn: perhaps } } } }",
    ['models.a.policy.guards.alreadyActedOn: expected on or off, got "perhaps" (line 1)'],
  ],
  [
    "numbers for features",
    "models: { a: { policy: { guards: { dataQuality: { veto: [1] } } } } }",
    ["models.a.policy.guards.dataQuality.veto[0]: expected the name of a feature, got 1 (line 1)"],
  ],
  [
    "an unknown part of the source",
    "models: { a: { source: { check: reported } } }",
    ['models.a.source.check: "check" is not a part of source: did you mean checks? (line 1)'],
  ],
  [
    "a source that is a word",
    "models: { a: { source: reported } }",
    [
      'models.a.source: expected checks and buffer, such as { checks: reported, buffer: reported }; got "reported" (line 1)',
    ],
  ],
  [
    "checks that are a number",
    "models: { a: { source: { checks: 5 } } }",
    [
      "models.a.source.checks: expected reported, or a mapping such as { table: films.drift_log }; got 5 (line 1)",
    ],
  ],
  [
    "a table with three parts",
    "models: { a: { source: { checks: { table: a.b.c } } } }",
    ['models.a.source.checks.table: expected a table name, or schema.table, got "a.b.c" (line 1)'],
  ],
  [
    "a table without a name",
    "models: { a: { source: { buffer: { table: '' } } } }",
    ['models.a.source.buffer.table: expected a table name, or schema.table, got "" (line 1)'],
  ],
  [
    "a misspelt column",
    "models: { a: { source: { checks: { columns: { scor: x } } } } }",
    [
      'models.a.source.checks.columns.scor: "scor" is not a column of source.checks: did you mean score? (line 1)',
    ],
  ],
  [
    "a column that is a list",
    "models: { a: { source: { checks: { columns: { score: [x] } } } } }",
    ["models.a.source.checks.columns.score: expected the name of a column, got a list (line 1)"],
  ],
  [
    "a column that must exist",
    "models: { a: { source: { checks: { columns: { checkedAt: null } } } } }",
    [
      "models.a.source.checks.columns.checkedAt: expected a column: without checkedAt, nothing can be decided (line 1)",
    ],
  ],
  [
    "a fixed condition on a list",
    "models: { a: { source: { buffer: { where: { model: [a] } } } } }",
    ["models.a.source.buffer.where.model: expected text, a number, true or false, got a list (line 1)"],
  ],
  [
    "an unknown since",
    "models: { a: { source: { buffer: { since: yesterday } } } }",
    [
      'models.a.source.buffer.since: expected lastTraining, or null to count everything, got "yesterday" (line 1)',
    ],
  ],
  [
    "a unit that is empty",
    "models: { a: { source: { buffer: { unit: '' } } } }",
    [
      'models.a.source.buffer.unit: expected a noun such as ratings, of at most 40 characters, got "" (line 1)',
    ],
  ],
  [
    "a table beside reported",
    "models: { a: { source: { buffer: { reported: true, table: x } } } }",
    ["models.a.source.buffer: table cannot stand beside reported: remove one or the other (line 1)"],
  ],
  [
    "columns of what is reported",
    "defaults: { source: { checks: reported } }\nmodels: { a: { source: { checks: { columns: { score: x } } } } }",
    ["models.a.source.checks: needs table: defaults say that checks are reported (line 2)"],
  ],
  [
    "a database that is no variable",
    "models: { a: { source: { database: 5 } } }",
    [
      "models.a.source.database: expected the name of a variable that holds it, such as FILMS_DATABASE_URL: secrets stay out of this file (line 1)",
    ],
  ],
  [
    "a database whose variable is not set",
    "models: { a: { source: { database: OTHER_URI } } }",
    ["models.a.source.database: the variable OTHER_URI is not set: did you mean OTHER_URL? (line 1)"],
  ],
  [
    "a database of another kind",
    "models: { a: { source: { database: BAD_URL } } }",
    [
      "models.a.source.database: BAD_URL must be a URL that starts with postgres:// or postgresql://, with % in its password written as %25 (line 1)",
    ],
  ],
  [
    "a database that nothing is read from",
    "models: { a: { source: { checks: reported, buffer: reported, database: OTHER_URL } } }",
    [
      "models.a.source.checks: source.database has no effect, because checks and buffer are both reported: remove it (line 1)",
    ],
  ],
  [
    "a sample floor without samples",
    "models: { a: { source: { checks: { columns: { samples: null } } }, policy: { when: [ { sampleFloor: 200 }, { driftAlerts: 1 } ] } } }",
    [
      "models.a.policy.when: sampleFloor needs the samples of a check, but source.checks.columns has samples: null (line 1)",
    ],
  ],
  [
    "a severity without thresholds",
    "defaults: { source: { checks: { columns: { threshold: null } } } }\nmodels: { a: { policy: { when: { severity: 2 } } } }",
    [
      "models.a.policy.when: severity needs the threshold of a check, but source.checks.columns has threshold: null (line 2)",
    ],
  ],
  [
    "a veto without features",
    "models: { a: { source: { checks: { columns: { feature: null } } }, policy: { guards: { dataQuality: [nulls] } } } }",
    [
      "models.a.policy.guards.dataQuality: dataQuality needs the feature of a check, but source.checks.columns has feature: null (line 1)",
    ],
  ],
  [
    "a growth without times",
    "models: { a: { source: { buffer: { table: t, columns: { time: null, ingestedAt: null }, since: lastTraining } } } }",
    [
      "models.a.source.buffer.columns: since: lastTraining needs to know when a row came, but source.buffer.columns has time: null and ingestedAt: null (line 1)",
    ],
  ],
  [
    "a waiting cost without times",
    "models: { a: { source: { buffer: { columns: { time: null, ingestedAt: null } } }, policy: { when: { waitingCost: 5 } } } }",
    [
      "models.a.policy.when: waitingCost needs to know when a row came, but source.buffer.columns has time: null and ingestedAt: null (line 1)",
    ],
  ],
  [
    "an unknown trainer",
    "models: { a: { trainer: sagemaker } }",
    ['models.a.trainer: "sagemaker" is not a trainer: it is one of mock, github, webhook, command (line 1)'],
  ],
  [
    "a misspelt trainer",
    "models: { a: { trainer: { githb: {} } } }",
    ['models.a.trainer.githb: "githb" is not a trainer: did you mean github? (line 1)'],
  ],
  [
    "two trainers",
    "models: { a: { trainer: { mock: {}, github: {} } } }",
    ["models.a.trainer: expected one trainer, not mock and github (line 1)"],
  ],
  [
    "a trainer that is a list",
    "models: { a: { trainer: [mock] } }",
    [
      "models.a.trainer: expected mock, github, webhook or command, alone or with settings such as { github: { ref: main } } (line 1)",
    ],
  ],
  [
    "a trainer without what it needs",
    "models: { a: { trainer: { github: { owner: us } } } }",
    [
      "models.a.trainer.github: repo (or GITHUB_REPO_NAME) is not set: github needs the name of the repository (line 1)",
      "models.a.trainer.github: GITHUB_TOKEN is not set: github needs a token (or GITHUB_APP_ID and GITHUB_APP_PRIVATE_KEY) (line 1)",
    ],
  ],
  [
    "a webhook without an outcome",
    "models: { a: { trainer: { webhook: { url: 'https://h/x', secret: LONG_SECRET } } } }",
    [
      "models.a.trainer.webhook: PUBLIC_URL is not set: webhook needs a way to learn how a training ended. Set PUBLIC_URL, to which the receiver reports the outcome; or TRAINER_OUTCOME=status_url if its responses name a status URL; or TRAINER_OUTCOME=accepted if an accepted request counts as a success (line 1)",
    ],
  ],
  [
    "a misspelt setting of a trainer",
    "models: { a: { trainer: { mock: { worflow: x.yml } } } }",
    ['models.a.trainer.mock.worflow: "worflow" is not a setting of mock: did you mean workflow? (line 1)'],
  ],
  [
    "a faulty setting of a trainer",
    "models: { a: { trainer: { mock: { ref: a b } } } }",
    ['models.a.trainer.mock.ref: expected a branch or tag, got "a b" (line 1)'],
  ],
  [
    "a number for an input",
    "models: { a: { trainer: { mock: { extraInputs: { epochs: 10 } } } } }",
    ["models.a.trainer.mock.extraInputs.epochs: expected text, in quotes (line 1)"],
  ],
  [
    "an input twice",
    "models: { a: { trainer: { mock: { extraInputs: { reason: x } } } } }",
    ['models.a.trainer.mock: GITHUB_INPUT_NAMES and extraInputs name the input "reason" twice (line 1)'],
  ],
  [
    "an unknown input",
    "models: { a: { trainer: { mock: { inputNames: { reasn: x } } } } }",
    ["models.a.trainer.mock.inputNames: there is no reasn (line 1)"],
  ],
  [
    "an empty command",
    "models: { a: { trainer: { command: { command: [], limitSeconds: soon } } } }",
    [
      "models.a.trainer.command.command: expected at least one entry (line 1)",
      'models.a.trainer.command.limitSeconds: expected a whole number from 1 to 1728000, got "soon" (line 1)',
    ],
  ],
  [
    "a secret that is too short",
    "models: { a: { trainer: { webhook: { url: 'https://h/x', secret: SHORT_SECRET } } } }",
    ["models.a.trainer.webhook.secret: the variable SHORT_SECRET must have at least 8 characters (line 1)"],
  ],
  [
    "a trainer setting left open",
    "models: { a: { trainer: { mock: { ref: } } } }",
    ["models.a.trainer.mock.ref: expected text, got nothing (line 1)"],
  ],
  ["a tab", "models:\n\ta: {}", ["a tab cannot indent: use spaces (line 2)"]],
  [
    "a bracket left open",
    "models: { a: { schedule: off }\n",
    [
      "the indentation does not fit: what belongs together begins in the same column (or a bracket above is not closed) (line 2)",
    ],
  ],
  [
    "a quote left open",
    "models:\n  a: { schedule: 'off }\n",
    ["a bracket, quote or comma is missing here or above (line 3)"],
  ],
  [
    "a colon in a value",
    "models:\n  a: b: c",
    [
      "a key where a value is expected: check the indentation, or put a text that contains a colon in quotes (line 2)",
    ],
  ],
  [
    "a colon too few",
    "models:\n  a\n  b: {}",
    ["a key must stand on one line and end with a colon: is a colon missing? (line 2)"],
  ],
  [
    "an indentation that does not fit",
    "models:\n   a: {}\n  b: {}",
    [
      "the indentation does not fit: what belongs together begins in the same column (or a bracket above is not closed) (line 3)",
    ],
  ],
  [
    "two documents",
    "models: { a: }\n---\nmodels: { b: }",
    ["the file must be one document: remove this line (---) (line 2)"],
  ],
  [
    "an alias without an anchor",
    "models: { a: *none }",
    ["this alias (*name) has no anchor (&name) above it (line 1)"],
  ],
  [
    "an anchor that contains itself",
    "models: &m { a: *m }",
    ["this alias (*name) stands within its own anchor (&name) (line 1)"],
  ],
  [
    "a tag",
    "models: { a: !custom {} }",
    ["tags (!name) are not supported: remove it, or put the text in quotes (line 1)"],
  ],
  ["a list as key", "models: { [a]: {} }", ["models: expected a name before the colon (line 1)"]],
  ["a merge of a text", "models: { a: { <<: x } }", ["<<: expected an alias (*name) of a mapping (line 1)"]],
  [
    "another encoding",
    new Uint8Array([255, 254, 109, 0]),
    ["is not a text in UTF-8: save it as UTF-8, or correct RETRIGGER_CONFIG"],
  ],
];
