"""Compares two data frames with Evidently (0.7.16 or later) and sends the report to Retrigger.

Needs the packages evidently, pandas and requests, and the variables RETRIGGER_URL and RETRIGGER_TOKEN (the role emit). The
model must have `checks: reported`. `include_tests=True` makes Evidently itself say which columns drift.
"""

import os
import sys

import pandas
import requests
from evidently import Report
from evidently.presets import DataDriftPreset


def send_drift(reference: pandas.DataFrame, current: pandas.DataFrame, model: str, run_id: str) -> dict:
    snapshot = Report([DataDriftPreset()], include_tests=True).run(current, reference)
    response = requests.post(
        os.environ["RETRIGGER_URL"] + "/api/v1/events/evidently",
        params={"model": model, "runId": run_id},
        data=snapshot.json(),
        headers={
            "Authorization": "Bearer " + os.environ["RETRIGGER_TOKEN"],
            "Content-Type": "application/json",
        },
        timeout=60,
    )
    response.raise_for_status()
    return response.json()


if __name__ == "__main__":
    reference_file, current_file, model_name, run = sys.argv[1:]
    print(send_drift(pandas.read_parquet(reference_file), pandas.read_parquet(current_file), model_name, run))
