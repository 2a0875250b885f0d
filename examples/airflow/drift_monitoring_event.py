"""Reports the end of a drift run to Retrigger: append the task to the drift_monitoring DAG.

Needs BullMQ's Python package on the Airflow worker (pip install bullmq) and REDIS_URL in its environment.
The run id identifies the event: a retry of the task sends the same event again, and Retrigger ignores it.
"""

import asyncio
import os
from datetime import datetime, timezone

from airflow.decorators import task
from bullmq import Queue


@task(trigger_rule="all_done", retries=5, retry_exponential_backoff=True)
def tell_retrigger(model: str = "default", **context) -> None:
    dag_run = context["dag_run"]
    failed = any(task_instance.state == "failed" for task_instance in dag_run.get_task_instances())
    event = {
        "runId": dag_run.run_id,
        "model": model,
        "completedAt": datetime.now(timezone.utc).isoformat(),
        "status": "failed" if failed else "success",
        "source": "airflow",
    }
    asyncio.run(send(event))


async def send(event: dict) -> None:
    queue = Queue(
        "drift_monitoring",
        {"connection": os.environ["REDIS_URL"], "prefix": "{retrigger}"},
    )
    try:
        await queue.add("drift_monitoring.completed", event, {"attempts": 30})
    finally:
        await queue.close()


# In the drift_monitoring DAG, after its last check:
#
#     [check_ks, check_mean, check_std] >> tell_retrigger()
