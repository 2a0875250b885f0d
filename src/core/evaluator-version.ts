/**
 * The version of `evaluate`, recorded with each decision. It rises whenever the same evidence and policy would give another
 * verdict or another explanation; test/fixtures/verdicts.json pins what each version returns.
 */
export const EVALUATOR_VERSION = 1;
