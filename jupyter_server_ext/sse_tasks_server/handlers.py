"""The routes: what is below ``api/tasks`` and ``api/task-types``, and how tasks are started and controlled there."""

from __future__ import annotations

import asyncio
from typing import Any, Literal

from jupyter_core.utils import ensure_async
from jupyter_server.auth.decorator import authorized
from tornado import web

from sse_tasks.errors import (
    BadParameterError,
    NotAuthorizedError,
    TaskTypeNotFoundError,
    near_names,
)
from sse_tasks.types import Status, is_task_id, is_task_type

from . import artifacts
from .api import NoSuchRoute, TasksApiHandler, summary
from .overview import follow_overview
from .streams import follow_task, poll_task

__all__ = ["ROUTES"]

LIST_LIMIT = 100
MOST_LISTED = 1000
CODE_RUNNING_TYPES = frozenset({"run-notebook"})
"""Task types that execute code chosen by the caller: starting one needs the right to execute kernels, too."""

_START_OPTIONS = ("name", "tag", "timeout", "retries", "interpreter")
_LIST_PARAMETERS = ("status", "type", "tag", "limit", "after")
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
        statuses = self.get_query_arguments("status")
        for status in statuses:
            if status not in list(Status):
                raise BadParameterError("status", f"there is no status {status!r}.{near_names(status, list(Status))}")
        task_type = self.query("type")
        if task_type is not None and not is_task_type(task_type):
            raise BadParameterError("type", f"{task_type!r} can't be the name of a task type.")
        after = self.query("after") or None
        if after is not None and not is_task_id(after):
            raise BadParameterError("after", f"must be the 'next' of the answer before, not {after!r}.")
        limit = min(int(self.number("limit", default=LIST_LIMIT, least=1, integer=True)), MOST_LISTED)
        infos, following = await asyncio.to_thread(
            self.manager.list, status=[Status(status) for status in statuses], task_type=task_type,
            tag=self.query("tag"), limit=limit, after=after)
        self.answer({"tasks": [summary(info) for info in infos], "next": following})

    head = get


class TaskTypesHandler(TasksApiHandler):
    """``api/task-types``: what can be started here."""

    @web.authenticated
    @authorized(action="read", resource="tasks")
    async def get(self) -> None:
        self.only_parameters(["interpreter"])
        types = await asyncio.to_thread(self.manager.task_types, self.interpreter())
        self.answer({"taskTypes": types})

    head = get


class TaskTypeHandler(TasksApiHandler):
    """``api/tasks/{taskType}``: start, pause and resume, abort, and the stream of a task."""

    @web.authenticated
    @authorized(action="read", resource="tasks")
    async def get(self, task_type: str) -> None:
        folder = self.task_folder(task_type, self._task_id(task_type))
        if self.wants("application/json") and not self.wants(_EVENT_STREAM):
            self.answer_info(folder.task_id)
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
                self._ask(task_type, task_id, action)
            case _:
                await self._start(task_type, body)

    @web.authenticated
    @authorized(action="execute", resource="tasks")
    async def delete(self, task_type: str) -> None:
        self._ask(task_type, self._task_id(task_type), "abort")

    def _task_id(self, task_type: str) -> str:
        if not is_task_type(task_type):
            raise TaskTypeNotFoundError(task_type, ())
        task_id = self.query("taskId")
        if not task_id:
            raise BadParameterError("taskId", "is missing: say which task, ?taskId=…")
        return task_id

    def _ask(self, task_type: str, task_id: str, action: Literal["pause", "resume", "abort"]) -> None:
        folder = self.task_folder(task_type, task_id)
        info = self.manager.ask(folder.task_id, action)
        self.answer({"success": True, "taskId": info.task_id, "status": info.status,
                     "message": f"{action} of {task_type} task requested"}, 202)

    async def _start(self, task_type: str, task_input: dict[str, Any]) -> None:
        self.only_parameters(_START_OPTIONS)
        if task_type in CODE_RUNNING_TYPES and not await self._may_execute_kernels():
            raise NotAuthorizedError(f"Starting {task_type} needs the right to execute kernels.")
        timeout = self.number("timeout", default=0.0, least=0.0)
        if self.query("timeout") and not timeout:
            raise BadParameterError("timeout", "must be more than 0 seconds.")
        if self.number("retries", default=0, least=0, integer=True):
            raise BadParameterError("retries", "this version doesn't retry; leave it out, or say 0.")
        info = await asyncio.to_thread(
            self.manager.start, task_type, task_input, name=self.query("name") or None,
            tags=[tag for tag in self.get_query_arguments("tag") if tag], timeout=timeout or None,
            interpreter=self.interpreter(), origin={"server": self.tasks_app.address})
        self.tasks_app.note_live()
        self.set_header("Location", self.task_url(task_type, info.task_id))
        self.answer({"success": True, "taskId": info.task_id, "message": f"{task_type} task started"}, 201)

    async def _may_execute_kernels(self) -> bool:
        return bool(await ensure_async(
            self.authorizer.is_authorized(self, self.current_user, "execute", "kernels")))


class TaskHandler(TasksApiHandler):
    """``api/tasks/{taskType}/{taskId}``: what there is to say of a task; forget it."""

    @web.authenticated
    @authorized(action="read", resource="tasks")
    async def get(self, task_type: str, task_id: str) -> None:
        self.answer_info(self.task_folder(task_type, task_id).task_id)

    head = get

    @web.authenticated
    @authorized(action="write", resource="tasks")
    async def delete(self, task_type: str, task_id: str) -> None:
        folder = self.task_folder(task_type, task_id)
        await asyncio.to_thread(self.manager.forget, folder.task_id)
        self.set_status(204)


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


_TASK = r"/api/tasks/([^/]+)/([^/]+)"

ROUTES: list[tuple[str, type[TasksApiHandler]]] = [
    (r"/api/task-types", TaskTypesHandler),
    (r"/api/tasks", TasksHandler),
    (r"/api/tasks/([^/]+)", TaskTypeHandler),
    (_TASK, TaskHandler),
    (_TASK + "/updates", UpdatesHandler),
    (_TASK + "/output", OutputHandler),
    (_TASK + "/items", ItemsHandler),
    (_TASK + "/result", ResultHandler),
    (_TASK + "/files", FilesHandler),
    (_TASK + "/files/([^/]+)", FileHandler),
    (r"/api/tasks/.*", NoSuchRoute),
    (r"/api/task-types/.*", NoSuchRoute),
]
"""Patterns below the server's base address, first match first."""
