"""What every route shares: who is asked for, what was sent, and errors that are always JSON.

Each method of a handler names its action and resource itself, ``@web.authenticated`` above ``@authorized``:
jupyter_server keeps what it once derived per inherited method, so subclasses would authorise as each other.
"""

from __future__ import annotations

import asyncio
import json
import math
import re
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, NoReturn

import msgspec
from jupyter_core.utils import ensure_async
from jupyter_server.auth.decorator import allow_unauthenticated
from jupyter_server.base.handlers import APIHandler
from jupyter_server.utils import url_path_join
from tornado import web

from sse_tasks.errors import (
    BadParameterError,
    InputTooLargeError,
    InvalidInputError,
    NotAuthorizedError,
    NotJsonError,
    NotSignedInError,
    SseTasksError,
    TaskNotFoundError,
    TaskTypeNotFoundError,
    near_names,
)
from sse_tasks.folder import TaskFolder
from sse_tasks.index import BRIEF_BYTES
from sse_tasks.types import TaskInfo, is_task_id, is_task_type
from sse_tasks.wire import encode_again

if TYPE_CHECKING:
    from sse_tasks.task_manager import TaskManager

    from .app import SseTasksApp

__all__ = ["NoSuchRoute", "TasksApiHandler", "to_json"]

CODE_RUNNING_TYPES = frozenset({"run-notebook"})
"""Task types that execute code chosen by the caller: starting one needs the right to execute kernels, too."""

_ALLOWED_HEADERS = "accept, content-type, authorization, x-xsrftoken, last-event-id, range, idempotency-key"
_JUPYTERS_PARAMETERS = re.compile(r"token|_xsrf|no_track_activity|_|\d+")  # digits: the front ends' cache busters
_CODES = {400: "bad_request", 403: "forbidden", 404: "not_found", 405: "method_not_allowed", 413: "input_too_large"}
_SENTENCES = {
    400: "The server can't read this request.",
    403: "With a cookie alone this needs its _xsrf in the header X-XSRFToken; or send a token in Authorization.",
    404: "There is nothing at this address.",
    405: "This address doesn't know the method {method}.",
}
_HOST_SENTENCE = ("The server doesn't answer to the name in the header Host. If it should, set "
                  "ServerApp.local_hostnames or ServerApp.allow_remote_access.")
_RETRY_AFTER_SECONDS = 5
_WHOLE = re.compile(r"[-+]?[0-9]+")
_NUMBER = re.compile(r"[-+]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][-+]?[0-9]+)?")


class TasksApiHandler(APIHandler):
    """The face of one request to ``api/tasks`` or ``api/task-types``.

    A body is read to its end before it is refused: a connection that is closed in the midst of it takes the answer with
    it, and fails the next request of a client that keeps it.
    """

    when_gone: Callable[[], None] | None = None
    """Called when the reader closes the connection before the answer's end."""

    _is_host_refused = False

    def check_host(self) -> bool:
        is_allowed: bool = super().check_host()
        self._is_host_refused = not is_allowed
        return is_allowed

    @property
    def tasks_app(self) -> SseTasksApp:
        app: SseTasksApp = self.settings["sse_tasks"]
        return app

    @property
    def manager(self) -> TaskManager:
        return self.tasks_app.manager

    # -- what is asked for ---------------------------------------------------------------------------------------

    def task_folder(self, task_type: str, task_id: str) -> TaskFolder:
        """The folder of the task at this address. Malformed names are refused before anything touches a disk."""
        if not is_task_type(task_type):
            raise TaskTypeNotFoundError(task_type, ())
        if not is_task_id(task_id):
            raise TaskNotFoundError(task_id)
        folder = self.manager.folder(task_id)
        if folder.spec().task_type != task_type:
            raise TaskNotFoundError(task_id)
        return folder

    async def info(self, task_id: str) -> TaskInfo:
        """What there is to say of a task. One that has died is recovered first, on a thread: that may take seconds.

        Raises TaskNotFoundError.
        """
        if self.manager.may_be_dead(task_id):
            return await asyncio.to_thread(self.manager.info, task_id)
        return self.manager.info(task_id, recover=False)

    def query(self, name: str) -> str | None:
        """The query parameter ``name``; never from a form in the body, as ``get_argument`` would."""
        return self.get_query_argument(name, None)

    def only_parameters(self, known: Iterable[str]) -> None:
        """Refuses a query parameter that would silently do nothing."""
        known = sorted(known)
        for name in self.request.query_arguments:
            if name not in known and not _JUPYTERS_PARAMETERS.fullmatch(name):
                raise BadParameterError(name, f"is no parameter of this call.{near_names(name, known)}")

    def number(self, name: str, *, default: float, least: float, integer: bool = False) -> float:
        """The query parameter ``name`` as a finite number. Raises BadParameterError."""
        text = self.query(name)
        if not text:
            return default
        if not (_WHOLE if integer else _NUMBER).fullmatch(text):  # float() and int() take more: 1_0, other digits
            raise BadParameterError(name, f"must be a{' whole' if integer else ''} number, not {text!r}.")
        value = float(text)
        if value == math.inf:
            raise BadParameterError(name, f"{text} is too large.")
        if value < least:
            raise BadParameterError(name, f"must be {least:g} or more, not {text}.")
        return value

    def interpreter(self) -> str | None:
        """The interpreter's path for the name that was asked for; None means the server's own."""
        name = self.query("interpreter")
        if not name:
            return None
        known: dict[str, str] = self.tasks_app.interpreters
        if name not in known:
            hint = near_names(name, known) or " None is configured (SseTasksApp.interpreters)."
            raise BadParameterError("interpreter", f"there is no interpreter {name!r}.{hint}")
        return known[name]

    def wants(self, content_type: str) -> bool:
        return content_type in self.request.headers.get("Accept", "").lower()

    def body_object(self, task_type: str) -> dict[str, Any]:
        """The body, a JSON object; an empty one is ``{}``."""
        sent: bytes = self.request.body
        if len(sent) > self.tasks_app.max_input_bytes:
            raise InputTooLargeError(self.tasks_app.max_input_bytes)
        if not sent.strip():
            return {}
        try:
            body = json.loads(sent.decode("utf-8-sig"), parse_constant=_refuse_constant)
        except UnicodeDecodeError as error:
            raise NotJsonError(f"its byte {error.start} is no UTF-8") from None
        except RecursionError:
            raise NotJsonError("it is nested too deeply") from None
        except (json.JSONDecodeError, _RefusedConstantError) as error:
            raise NotJsonError(str(error)) from None
        except ValueError:  # of Python's int()
            raise NotJsonError("a number in it has too many digits") from None
        if not isinstance(body, dict):
            raise InvalidInputError(task_type, [{"path": "", "message": "must be a JSON object: {…}"}])
        return body

    async def check_rights(self, task_type: str) -> None:
        """Refuses who may not start a task of this type, beyond what ``@authorized`` has asked."""
        if task_type in CODE_RUNNING_TYPES and not await ensure_async(
                self.authorizer.is_authorized(self, self.current_user, "execute", "kernels")):
            raise NotAuthorizedError(f"Starting {task_type} needs the right to execute kernels.")

    def on_connection_close(self) -> None:
        super().on_connection_close()
        if self.when_gone is not None:
            self.when_gone()

    # -- what is answered ----------------------------------------------------------------------------------------

    def set_default_headers(self) -> None:
        super().set_default_headers()
        self.set_header("Cache-Control", "no-cache")

    def answer(self, content: dict[str, Any], status: int = 200) -> None:
        self.set_status(status)
        self.finish(to_json(content))

    async def answer_info(self, task_id: str) -> None:
        self.finish(to_json(await self.info(task_id)))

    def answer_started(self, task_type: str, task_id: str, is_new: bool = True) -> None:
        """Says which task has been started; ``200`` for one that there was already."""
        self.tasks_app.note_live()
        self.set_header("Location", self.task_url(task_type, task_id))
        self.answer({"success": True, "taskId": task_id, "message": f"{task_type} task started"},
                    201 if is_new else 200)

    def task_url(self, task_type: str, task_id: str) -> str:
        return url_path_join(self.base_url, "api/tasks", task_type, task_id)

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        error = kwargs.get("exc_info", (None, None, None))[1]
        errors: list[dict[str, str]] = []
        if status_code in (401, 403) and not self._is_host_refused and not self._is_known:
            error = NotSignedInError()
        if isinstance(error, SseTasksError):
            self.set_status(error.status)
            code, message, errors = error.code, error.message, error.errors
            for name, value in getattr(error, "headers", {}).items():
                self.set_header(name, value)
        else:
            code = _CODES.get(status_code, "internal_error")
            message = _SENTENCES.get(status_code, "").format(method=self.request.method)
            reason = error.get_message() if isinstance(error, web.HTTPError) else None
            if reason and (status_code != 403 or "xsrf" not in reason.lower()):
                message = reason
            if status_code == 403 and self._is_host_refused:
                message = _HOST_SENTENCE
            message = message or "The server could not answer this; its log says why."
        if self.get_status() == 503:
            self.set_header("Retry-After", str(_RETRY_AFTER_SECONDS))
        if self.get_status() == 405:
            self.set_header("Allow", ", ".join(self._methods()))
        if hasattr(self, "_jupyter_current_user"):
            self.set_cors_headers()  # a page of another origin may read why, as it may read an answer
        self.finish(to_json({"success": False, "code": code, "message": message, "errors": errors}))

    @property
    def _is_known(self) -> bool:
        """Whether who asks is signed in: then a 403 is about what they may do."""
        return bool(getattr(self, "_jupyter_current_user", None))

    def _methods(self) -> list[str]:
        return [name for name in self.SUPPORTED_METHODS
                if getattr(type(self), name.lower()) is not web.RequestHandler._unimplemented_method]

    def log_exception(self, typ: Any, value: BaseException | None, tb: Any) -> None:
        if isinstance(value, SseTasksError):  # an answer, not a fault of the server: no traceback
            self.log.debug("%s: %s", value.code, value)
        else:
            super().log_exception(typ, value, tb)

    @allow_unauthenticated
    def options(self, *args: Any, **kwargs: Any) -> None:
        super().options(*args, **kwargs)
        if "Access-Control-Allow-Headers" not in self.settings.get("headers", {}):
            self.set_header("Access-Control-Allow-Headers", _ALLOWED_HEADERS)


class NoSuchRoute(TasksApiHandler):
    """Every other address below ours: a ``404`` in JSON, whoever asks."""

    async def prepare(self) -> None:  # type: ignore[override]
        raise web.HTTPError(404)


def to_json(content: Any) -> str:
    """One ASCII line, valid for every parser, whatever a task's own values are."""
    return encode_again(msgspec.to_builtins(content, str_keys=True))


def summary(info: TaskInfo) -> TaskInfo:
    """``info`` for a list or snapshot: without an input or a result that is large."""
    large = {part: None for part in ("input", "result")
             if (value := getattr(info, part)) is not None and len(to_json(value)) > BRIEF_BYTES}
    return msgspec.structs.replace(info, **large) if large else info


class _RefusedConstantError(ValueError):
    """NaN and the like, which Python would read."""


def _refuse_constant(name: str) -> NoReturn:
    raise _RefusedConstantError(f"{name} is no JSON")
