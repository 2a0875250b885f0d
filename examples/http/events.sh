#!/bin/sh
# Reports a drift run with its checks, and waits for the decision.
# Needs RETRIGGER_URL, RETRIGGER_TOKEN (the role operator) and curl. For a model with checks: reported.
set -eu

api() {
  curl --silent --show-error --fail-with-body --retry 5 \
    --header "Authorization: Bearer $RETRIGGER_TOKEN" --header "Content-Type: application/json" "$@"
}

api "$RETRIGGER_URL/api/v1/events" --data '{
  "model": "default",
  "runId": "'"${RUN_ID:-$(date +%s)}"'",
  "status": "success",
  "checks": [
    { "feature": "rating_mean", "score": 0.31, "threshold": 0.2, "samples": 5000 },
    { "feature": "rating_std", "score": 0.04, "threshold": 0.2, "samples": 5000 }
  ]
}'
echo
api "$RETRIGGER_URL/api/v1/models/default/decisions" --header "Prefer: wait=30" --data '{}'
echo
