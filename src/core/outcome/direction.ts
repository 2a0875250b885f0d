/** Metrics whose direction everybody knows, by their normalized names: true if higher is better. */
const KNOWN: ReadonlyMap<string, boolean> = new Map([
  ...[
    "rmse",
    "mse",
    "mae",
    "mape",
    "smape",
    "loss",
    "log_loss",
    "logloss",
    "cross_entropy",
    "perplexity",
    "brier",
    "error_rate",
    "wer",
  ].map((name) => [name, false] as const),
  ...[
    "auc",
    "roc_auc",
    "auroc",
    "pr_auc",
    "average_precision",
    "accuracy",
    "balanced_accuracy",
    "precision",
    "recall",
    "f1",
    "r2",
    "ndcg",
    "map",
    "mrr",
    "hit_rate",
    "mcc",
  ].map((name) => [name, true] as const),
]);

/** Whether a higher figure of a metric is better; null if its name does not say. `val_rmse` and `ndcg@10` are known too. */
export function isHigherBetterBy(metric: string): boolean | null {
  const name = metric
    .toLowerCase()
    .replaceAll(/[\s./-]+/g, "_")
    .replace(/^(train|training|val|valid|validation|test|eval|holdout)_/, "")
    .replace(/(@|_at_)\d+$/, "")
    .replace(/_(macro|micro|weighted)$/, "")
    .replace(/_score$/, "");
  return KNOWN.get(name) ?? null;
}
