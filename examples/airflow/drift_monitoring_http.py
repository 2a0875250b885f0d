"""Reports the end of a drift run to Retrigger over HTTP. Set `report_to_retrigger` as a callback of the drift_monitoring DAG.

Needs only the package requests, and the variables RETRIGGER_URL and RETRIGGER_TOKEN (a token with the role emit) on the
Airflow worker. The run id identifies the event: sent twice, it is one event.
"""

import os
import time

import requests

ATTEMPTS = 5


def report_to_retrigger(context: dict, status: str, model: str = "default") -> None:
    event = {
        "runId": context["dag_run"].run_id,
        "model": model,
        "status": status,
        "source": "airflow",
    }
    for attempt in range(1, ATTEMPTS + 1):
        try:
            response = requests.post(
                os.environ["RETRIGGER_URL"] + "/api/v1/events",
                json=event,
                headers={"Authorization": "Bearer " + os.environ["RETRIGGER_TOKEN"]},
                timeout=30,
            )
            if response.status_code < 500:
                # A malformed event stays malformed, so only a 5xx is worth another try.
                response.raise_for_status()
                return
        except (requests.ConnectionError, requests.Timeout):
            if attempt == ATTEMPTS:
                raise
        time.sleep(2**attempt)
    response.raise_for_status()


def on_success(context: dict) -> None:
    report_to_retrigger(context, "success")


def on_failure(context: dict) -> None:
    report_to_retrigger(context, "failed")


# with DAG("drift_monitoring", on_success_callback=on_success, on_failure_callback=on_failure, ...):
