"""The routes: what is below ``api/tasks`` and ``api/task-types``, and how tasks are started and controlled there."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Literal

from jupyter_server.auth.decorator import authorized
from tornado import web

from sse_tasks.errors import (
    BadParameterError,
    InvalidInputError,
    StartInProgressError,
    TaskTypeNotFoundError,
    near_names,
)
from sse_tasks.types import ENDED, Status, TaskInfo, is_task_id, is_task_type

from . import artifacts
from .api import NoSuchRoute, TasksApiHandler, summary
from .overview import follow_overview
from .streams import follow_task, poll_task

__all__ = ["ROUTES"]

LIST_LIMIT = 200
MOST_LISTED = 1000
_START_OPTIONS = ("name", "tag", "timeout", "retries", "interpreter")
_LIST_PARAMETERS = ("status", "type", "tag", "limit", "after")
_FORGET_PARAMETERS = ("status", "before")
_FLAGS = {"": False, "0": False, "false": False, "1": True, "true": True}
_CLAIM_SECONDS = 30.0
_CLAIM_LOOK_SECONDS = 0.02
_EVENT_STREAM = "text/event-stream"


class TasksHandler(TasksApiHandler):
    """``api/tasks``: the list, or the overview stream."""

    @web.authenticated
    @authorized(action="read", resource="tasks")
    async def get(self) -> None:
        if self.wants(_EVENT_STREAM):
            await follow_overview(self)
            return
        self.only_parameters(_LIST_PARAMETERS)
        statuses = self._statuses()
        task_type = self.query("type")
        if task_type is not None and not is_task_type(task_type):
            raise BadParameterError("type", f"{task_type!r} can't be the name of a task type.")
        after = self.query("after") or None
        if after is not None and not is_task_id(after):
            raise BadParameterError("after", f"must be the 'next' of the answer before, not {after!r}.")
        limit = min(int(self.number("limit", default=LIST_LIMIT, least=1, integer=True)), MOST_LISTED)
        infos, following = await asyncio.to_thread(
            self.manager.list, status=statuses, task_type=task_type, tag=self.query("tag"), limit=limit, after=after,
            brief=True)
        self.answer({"tasks": [summary(info) for info in infos], "next": following})

    head = get

    @web.authenticated
    @authorized(action="write", resource="tasks")
    async def delete(self) -> None:
        self.only_parameters(_FORGET_PARAMETERS)
        statuses = self._statuses()
        before = _moment("before", self.query("before"))
        for status in statuses:
            if status not in ENDED:
                raise BadParameterError("status", f"a task that is {status} can't be forgotten: abort it first.")
        if not statuses and before is None:
            raise BadParameterError("status", "say which ended tasks to forget: status=completed, failed or aborted, "
                                              "or before=<ISO time>, or both.")
        removed = await asyncio.to_thread(self.manager.forget_ended, status=statuses, before=before)
        self.answer({"success": True, "removed": removed})

    def _statuses(self) -> list[Status]:
        statuses = self.get_query_arguments("status")
        for status in statuses:
            if status not in list(Status):
                raise BadParameterError("status", f"there is no status {status!r}.{near_names(status, list(Status))}")
        return [Status(status) for status in statuses]


class StartingHandler(TasksApiHandler):
    """What makes a task, and with an ``Idempotency-Key`` one only."""

    async def make_or_find(self, make: Callable[..., tuple[TaskInfo, bool]], *arguments: Any, **options: Any
                           ) -> tuple[TaskInfo, bool]:
        """In a thread. Who has to wait for another start with the same key waits here, and keeps no thread busy."""
        key = self.request.headers.get("Idempotency-Key")
        deadline = time.monotonic() + _CLAIM_SECONDS
        while True:
            try:
                return await self.tasks_app.slow_calls.run(make, *arguments, **options, idempotency_key=key,
                                                           patience=0.0)
            except StartInProgressError:
                if time.monotonic() > deadline:
                    raise
                await asyncio.sleep(_CLAIM_LOOK_SECONDS)


class TaskTypesHandler(TasksApiHandler):
    """``api/task-types``: what can be started here."""

    @web.authenticated
    @authorized(action="read", resource="tasks")
    async def get(self) -> None:
        self.only_parameters(["interpreter"])
        types = await self.tasks_app.slow_calls.run(self.manager.task_types, self.interpreter())
        self.answer({"taskTypes": types})

    head = get


class TaskTypeHandler(StartingHandler):
    """``api/tasks/{taskType}``: start, pause and resume, abort, and the stream of a task."""

    @web.authenticated
    @authorized(action="read", resource="tasks")
    async def get(self, task_type: str) -> None:
        folder = self.task_folder(task_type, self._task_id(task_type))
        if self.wants("application/json") and not self.wants(_EVENT_STREAM):
            await self.answer_info(folder.task_id)
        else:
            await follow_task(self, folder)

    head = get

    @web.authenticated
    @authorized(action="execute", resource="tasks")
    async def post(self, task_type: str) -> None:
        if not is_task_type(task_type):
            raise TaskTypeNotFoundError(task_type, ())
        body = self.body_object(task_type)
        match body:
            case {"action": "pause" | "resume" as action, "taskId": str(task_id)} if len(body) == 2:
                await self._ask(task_type, task_id, action)
            case _:
                await self._start(task_type, body)

    @web.authenticated
    @authorized(action="execute", resource="tasks")
    async def delete(self, task_type: str) -> None:
        await self._ask(task_type, self._task_id(task_type), "abort")

    def _task_id(self, task_type: str) -> str:
        if not is_task_type(task_type):
            raise TaskTypeNotFoundError(task_type, ())
        task_id = self.query("taskId")
        if not task_id:
            raise BadParameterError("taskId", "is missing: say which task, ?taskId=…")
        return task_id

    async def _ask(self, task_type: str, task_id: str, action: Literal["pause", "resume", "abort"]) -> None:
        folder = self.task_folder(task_type, task_id)
        await self.info(folder.task_id)  # not on this loop, if it has died
        info = self.manager.ask(folder.task_id, action)
        self.answer({"success": True, "taskId": info.task_id, "status": info.status,
                     "message": f"{action} of {task_type} task requested"}, 202)

    async def _start(self, task_type: str, task_input: dict[str, Any]) -> None:
        self.only_parameters(_START_OPTIONS)
        await self.check_rights(task_type)
        timeout = self.number("timeout", default=0.0, least=0.0)
        if self.query("timeout") and not timeout:
            raise BadParameterError("timeout", "must be more than 0 seconds.")
        info, is_new = await self.make_or_find(
            self.manager.start_or_find, task_type, task_input, name=self.query("name") or None,
            tags=[tag for tag in self.get_query_arguments("tag") if tag], timeout=timeout or None,
            retries=int(self.number("retries", default=0, least=0, integer=True)), interpreter=self.interpreter(),
            origin={"server": self.tasks_app.address})
        self.answer_started(task_type, info.task_id, is_new)


class TaskHandler(TasksApiHandler):
    """``api/tasks/{taskType}/{taskId}``: what there is to say of a task; forget it."""

    @web.authenticated
    @authorized(action="read", resource="tasks")
    async def get(self, task_type: str, task_id: str) -> None:
        await self.answer_info(self.task_folder(task_type, task_id).task_id)

    head = get

    @web.authenticated
    @authorized(action="write", resource="tasks")
    async def delete(self, task_type: str, task_id: str) -> None:
        folder = self.task_folder(task_type, task_id)
        await asyncio.to_thread(self.manager.forget, folder.task_id)
        self.set_status(204)


class RestartHandler(StartingHandler):
    """``…/{taskId}/restart``: a new task with the input of an ended one."""

    @web.authenticated
    @authorized(action="execute", resource="tasks")
    async def post(self, task_type: str, task_id: str) -> None:
        folder = self.task_folder(task_type, task_id)
        self.only_parameters(["fresh"])
        if self.body_object(task_type):
            raise InvalidInputError(task_type, [{"path": "", "message": "a restart has the input of the task that it "
                                                 "restarts; for another one start a new task"}])
        fresh = self.query("fresh") or ""
        if fresh.lower() not in _FLAGS:
            raise BadParameterError("fresh", f"must be true or false, not {fresh!r}.")
        await self.check_rights(task_type)
        info, is_new = await self.make_or_find(
            self.manager.restart_or_find, folder.task_id, fresh=_FLAGS[fresh.lower()],
            origin={"server": self.tasks_app.address})
        self.answer_started(task_type, info.task_id, is_new)


class UpdatesHandler(TasksApiHandler):
    @web.authenticated
    @authorized(action="read", resource="tasks")
    async def get(self, task_type: str, task_id: str) -> None:
        folder = self.task_folder(task_type, task_id)
        self.only_parameters(["after", "wait"])
        await poll_task(self, folder)

    head = get


class OutputHandler(TasksApiHandler):
    @web.authenticated
    @authorized(action="read", resource="tasks")
    async def get(self, task_type: str, task_id: str) -> None:
        await artifacts.send_output(self, self.task_folder(task_type, task_id))

    head = get


class ItemsHandler(TasksApiHandler):
    @web.authenticated
    @authorized(action="read", resource="tasks")
    async def get(self, task_type: str, task_id: str) -> None:
        await artifacts.send_items(self, self.task_folder(task_type, task_id))

    head = get


class MetricsHandler(TasksApiHandler):
    @web.authenticated
    @authorized(action="read", resource="tasks")
    async def get(self, task_type: str, task_id: str) -> None:
        await artifacts.send_metrics(self, self.task_folder(task_type, task_id))

    head = get


class ResultHandler(TasksApiHandler):
    @web.authenticated
    @authorized(action="read", resource="tasks")
    async def get(self, task_type: str, task_id: str) -> None:
        await artifacts.send_result(self, self.task_folder(task_type, task_id))

    head = get


class FilesHandler(TasksApiHandler):
    @web.authenticated
    @authorized(action="read", resource="tasks")
    async def get(self, task_type: str, task_id: str) -> None:
        self.answer({"files": self.task_folder(task_type, task_id).files()})

    head = get


class FileHandler(TasksApiHandler):
    @web.authenticated
    @authorized(action="read", resource="tasks")
    async def get(self, task_type: str, task_id: str, name: str) -> None:
        await artifacts.send_file(self, self.task_folder(task_type, task_id), name)

    head = get


def _moment(name: str, text: str | None) -> str | None:
    """A moment as tasks write theirs, which sort like the moments. Without a time zone it is UTC."""
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text)
        moment = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        raise BadParameterError(name, f"must be a time such as 2026-11-24T03:58:00Z, not {text!r}.") from None
    return moment.replace(tzinfo=None).isoformat(timespec="milliseconds") + "Z"  # strftime writes the year 1 as "1"


_TASK = r"/api/tasks/([^/]+)/([^/]+)"

ROUTES: list[tuple[str, type[TasksApiHandler]]] = [
    (r"/api/task-types", TaskTypesHandler),
    (r"/api/tasks", TasksHandler),
    (r"/api/tasks/([^/]+)", TaskTypeHandler),
    (_TASK, TaskHandler),
    (_TASK + "/restart", RestartHandler),
    (_TASK + "/updates", UpdatesHandler),
    (_TASK + "/output", OutputHandler),
    (_TASK + "/items", ItemsHandler),
    (_TASK + "/metrics", MetricsHandler),
    (_TASK + "/result", ResultHandler),
    (_TASK + "/files", FilesHandler),
    (_TASK + "/files/([^/]+)", FileHandler),
    (r"/api/tasks/.*", NoSuchRoute),
    (r"/api/task-types/.*", NoSuchRoute),
]
"""Patterns below the server's base address, first match first."""
