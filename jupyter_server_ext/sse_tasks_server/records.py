"""What the server tells others of its tasks: events for ``jupyter_events``, metrics for ``/metrics``."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import prometheus_client
from jupyter_events import EventLogger

from sse_tasks.types import Status, TaskInfo

__all__ = ["EVENT_SCHEMA_ID", "OPEN_STREAMS", "Records"]

EVENT_SCHEMA_ID = "urn:sse-tasks:task:v1"

OPEN_STREAMS = prometheus_client.Gauge("sse_tasks_open_streams", "Event streams and long polls that are open")
_STARTED = prometheus_client.Counter("sse_tasks_started", "Tasks that this server saw start, whoever started them")
_ENDED = prometheus_client.Counter("sse_tasks_ended", "Tasks that this server saw end, by status", ["status"])
_LIVE = prometheus_client.Gauge("sse_tasks_live", "Tasks that have not ended, by status", ["status"])


class Records:
    """Compares what there is with what there was, and tells the difference."""

    def __init__(self, event_logger: EventLogger) -> None:
        self._event_logger = event_logger
        self._ended: dict[str, bool] | None = None
        if EVENT_SCHEMA_ID not in event_logger.schemas:
            event_logger.register_event_schema(Path(__file__).parent / "task_event.yaml")

    def note(self, infos: Sequence[TaskInfo]) -> None:
        """Takes all tasks as they are now, newest first. What was there before the server is nothing new."""
        before, self._ended = self._ended, {info.task_id: info.is_ended for info in infos}
        live = Counter(info.status for info in infos)
        for status in (Status.IDLE, Status.RUNNING, Status.PAUSED):
            _LIVE.labels(status).set(live[status])
        if before is None:
            return
        for info in reversed(infos):
            if info.task_id not in before:
                _STARTED.inc()
                self._emit("start", info)
            if info.is_ended and not before.get(info.task_id, False):
                _ENDED.labels(info.status).inc()
                self._emit("end", info)

    def _emit(self, action: Literal["start", "end"], info: TaskInfo) -> None:
        data: dict[str, Any] = {
            "action": action, "taskId": info.task_id, "taskType": info.task_type, "status": str(info.status),
            "code": info.code, "createdAt": info.created_at, "startedAt": info.started_at, "endedAt": info.ended_at}
        self._event_logger.emit(schema_id=EVENT_SCHEMA_ID,
                                data={name: value for name, value in data.items() if value is not None})
