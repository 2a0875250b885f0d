"""Reports the end of a drift run to Retrigger. Append this task to the drift_monitoring DAG.

Requires BullMQ's Python package (pip install bullmq) and the variable REDIS_URL on the Airflow worker.
The run id identifies the event: if a retry of the task sends the event again, Retrigger ignores it.
"""

import asyncio
import os
from datetime import datetime, timezone

from airflow.decorators import task
from bullmq import Queue


@task(trigger_rule="all_done", retries=5, retry_exponential_backoff=True)
def notify_retrigger(model: str = "default", **context) -> None:
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
#     [check_ks, check_mean, check_std] >> notify_retrigger()
