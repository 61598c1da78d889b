"""The server extension itself: settings, one task manager, what keeps the server alive, and its end."""

from __future__ import annotations

import asyncio
import threading
import time
from contextlib import suppress
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any

from jupyter_server.extension.application import ExtensionApp
from tornado.ioloop import PeriodicCallback
from traitlets import Dict, Enum, Float, Integer, Unicode, default

import sse_tasks
from sse_tasks.errors import SseTasksError
from sse_tasks.index import seconds_since
from sse_tasks.retention import HOUR_SECONDS
from sse_tasks.task_manager import TaskManager
from sse_tasks.types import Status

from .handlers import ROUTES
from .open_answers import OpenAnswers
from .overview import Overview
from .page import PAGE_ROUTES, announce_root
from .records import OPEN_STREAMS, Records
from .slow_calls import SlowCalls
from .tails import Tails

__all__ = ["SseTasksApp"]

LOOK_SECONDS = 15.0
"""How often the server looks at all tasks: for what keeps it alive, and what has started or ended."""

GRACE_SECONDS = 60.0
"""How long tasks that have ended keep the server from being culled."""

STOP_SECONDS = 5.0
"""The longest that the end of the server waits for this extension."""

_LIVE = (Status.IDLE, Status.RUNNING, Status.PAUSED)


class SseTasksApp(ExtensionApp):
    """Tasks over HTTP and Server-Sent Events, beside kernels and contents."""

    name = "sse_tasks"
    description = __doc__ or ""
    classes = [TaskManager]  # noqa: RUF012 - traitlets reads it so

    interpreters = Dict(
        key_trait=Unicode(), value_trait=Unicode(), config=True,
        help="Python interpreters that HTTP may start tasks with, name to path; without one named, the server's own.")
    on_server_stop = Enum(
        ["keep", "abort"], default_value="keep", config=True,
        help="What becomes of the tasks that this server started when it stops: 'keep' or 'abort'.")
    heartbeat = Float(
        10.0, min=0.1, config=True, help="Seconds without a byte after which an event stream carries a comment.")
    keep_server_alive = Float(
        7 * 24 * 3600.0, min=0.0, config=True,
        help="Seconds that a task may keep an idle server from being culled, from the task's start on.")
    max_input_bytes = Integer(10 << 20, min=1, config=True, help="The largest body of a start, in bytes.")

    @default("static_paths")
    def _default_static_paths(self) -> list[str]:
        return [str(Path(sse_tasks.__file__).parent / "frontend")]

    @cached_property
    def manager(self) -> TaskManager:
        """Made at first use: a data folder that can't be written is an answer to whoever asks for tasks, not an
        extension that is missing. Raises StorageError, and tries again the next time."""
        return TaskManager(parent=self)

    @cached_property
    def tails(self) -> Tails:
        return Tails(self.manager)

    @cached_property
    def overview(self) -> Overview:
        return Overview(self.manager)

    def _link_jupyter_server_extension(self, serverapp: Any) -> None:
        super()._link_jupyter_server_extension(serverapp)
        self._first_look = threading.Thread(target=self._look_at_all, name="sse-tasks-first-look", daemon=True)
        with suppress(SseTasksError, OSError):  # the look that follows says so
            self.manager.ids()
            self._first_look.start()  # while the other extensions are loaded: with many tasks it takes a while

    def _look_at_all(self) -> None:
        with suppress(SseTasksError, OSError):
            self.manager.recover_all()

    def initialize_settings(self) -> None:
        self.open_answers = OpenAnswers()
        self.slow_calls = SlowCalls()
        OPEN_STREAMS.set_function(lambda: len(self.open_answers))
        self.records = Records(self.settings["event_logger"])
        self._live_tasks = 0
        self._seen_live = float("-inf")
        self._looking = PeriodicCallback(self._look, LOOK_SECONDS * 1000)
        self._pruning = PeriodicCallback(lambda: self._prune(HOUR_SECONDS), HOUR_SECONDS * 1000)
        self._beginning: asyncio.Task[None] | None = None

    def initialize_handlers(self) -> None:
        self.handlers.extend([*ROUTES, *PAGE_ROUTES])
        if self.serverapp is not None:
            announce_root(self.serverapp.web_app.settings, self.serverapp.root_dir)

    async def _start_jupyter_server_extension(self, serverapp: Any) -> None:
        self._beginning = asyncio.create_task(self._begin())  # with many tasks it takes seconds: nobody waits for it

    async def _begin(self) -> None:
        self._looking.start()
        if self._first_look.is_alive():
            await asyncio.to_thread(self._first_look.join)
        else:
            await asyncio.to_thread(self._look_at_all)
        await self._look()
        await self._prune(0)
        self._pruning.start()

    async def _prune(self, seconds: float) -> None:
        try:
            await asyncio.to_thread(self.manager.prune_if_due, seconds)
        except (SseTasksError, OSError):
            self.log.warning("sse_tasks can't forget old tasks now", exc_info=True)

    @property
    def address(self) -> str:
        """This server, as the tasks that it starts say where they come from; without any secret."""
        return self.serverapp.connection_url if self.serverapp is not None else ""

    # -- what keeps the server alive -----------------------------------------------------------------------------

    def current_activity(self) -> dict[str, int] | None:
        """The live tasks, while there are any and for a little longer; None lets the server be culled."""
        if time.monotonic() - self._seen_live > GRACE_SECONDS:
            return None
        return {"tasks": self._live_tasks}

    async def _look(self) -> None:
        try:
            infos, _ = await asyncio.to_thread(self.manager.list, brief=True)
        except (SseTasksError, OSError):
            self.log.warning("sse_tasks can't see the tasks now", exc_info=True)
            return
        self.records.note(infos)
        live = sum(not info.is_ended and seconds_since(info.created_at) < self.keep_server_alive for info in infos)
        if live:
            self.note_live(live)
        kept = self.manager.keep_count
        if kept is not None and sum(info.is_ended for info in infos) > kept:
            await self._prune(0)

    def note_live(self, tasks: int = 1) -> None:
        """Says that there are live tasks now."""
        self._live_tasks = tasks
        self._seen_live = time.monotonic()
        if self.serverapp is not None:
            self.serverapp.web_app.settings["last_activity_times"]["sse_tasks"] = datetime.now(UTC)

    # -- the end -------------------------------------------------------------------------------------------------

    async def stop_extension(self) -> None:
        """Asks tasks to end where that is configured, ends every open answer, and lets go. Never raises."""
        try:
            async with asyncio.timeout(STOP_SECONDS):
                self._looking.stop()
                self._pruning.stop()
                if self._beginning is not None:
                    self._beginning.cancel()
                if self.on_server_stop == "abort":
                    await asyncio.to_thread(self._abort_started)
                await self.open_answers.close_all()
        except Exception:
            self.log.warning("sse_tasks did not end cleanly", exc_info=True)
        finally:
            if "manager" in vars(self):
                self.manager.close()

    def _abort_started(self) -> None:
        for info in self.manager.list(status=_LIVE, brief=True)[0]:
            if info.origin == {"server": self.address}:
                try:
                    self.manager.ask(info.task_id, "abort")
                except SseTasksError:
                    pass  # it has ended by itself

