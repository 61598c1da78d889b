"""Sees to it that there is a browser for the workers that need one: ``python -m sse_tasks_workers.get_browser``.

Takes the one that is there. Else it installs Debian's Chromium where it may, else it has Playwright download its own,
and says beforehand what it is about to put where. Prints the browser's path and ends with 0, or says in one sentence
what to do and ends with 1.
"""

from __future__ import annotations

import contextlib
import os
import platform
import shutil
import signal
import subprocess
import sys
from pathlib import Path

from sse_tasks.errors import TaskError

from .scrape_reviews.browser import BROWSER_VARIABLE, find_browser

__all__ = ["get_browser", "main"]

APT_SECONDS = 240.0
DOWNLOAD_SECONDS = 180.0
ANSWER_SECONDS = 30.0
STOP_SECONDS = 10.0


def get_browser() -> str:
    """The path of a browser, which is installed if there is none. Raises TaskError (``no_browser``)."""
    own = _playwrights_own()
    try:
        return find_browser(own)
    except TaskError:
        if os.environ.get(BROWSER_VARIABLE):
            raise  # a person chose one: no other is put in its place
    installed = _install_debians() or _download_playwrights(own)
    if installed is None:
        raise TaskError("There is no browser and none could be installed: install Chromium or Chrome (on Debian: "
                        f"apt install chromium), or set {BROWSER_VARIABLE} to a browser's path.", code="no_browser")
    return installed


def main() -> int:
    """What ``python -m sse_tasks_workers.get_browser`` does."""
    try:
        print(f"Browser: {get_browser()}", flush=True)
    except TaskError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def _playwrights_own() -> str | None:
    """Where Playwright's Chromium is, or would be; None if Playwright doesn't say."""
    from playwright.sync_api import Error, sync_playwright

    try:
        with sync_playwright() as playwright:
            return playwright.chromium.executable_path
    except (Error, OSError):
        return None


def _install_debians() -> str | None:
    """Debian's package, if this is Debian and we may."""
    if os.geteuid() != 0 or not _is_debian() or shutil.which("apt-get") is None:
        return None
    print("There is no browser: installing Debian's package chromium with apt-get, for the whole system.", flush=True)
    install = ["apt-get", "install", "--yes", "--no-install-recommends", "chromium"]
    # A new machine has no package lists: without them the first try fails at once.
    done = _run(install, APT_SECONDS) or (_run(["apt-get", "update"], APT_SECONDS) and _run(install, APT_SECONDS))
    return _working(shutil.which("chromium")) if done else None


def _is_debian() -> bool:
    """Not Ubuntu, whose package chromium is a stub for another packager that containers don't have."""
    with contextlib.suppress(OSError):
        return platform.freedesktop_os_release().get("ID") == "debian"
    return False


def _download_playwrights(own: str | None) -> str | None:
    if own is None:
        return None
    place = os.environ.get("PLAYWRIGHT_BROWSERS_PATH") or Path(own).parent
    print(f"There is no browser: downloading Playwright's Chromium (some 200 MB) to {place}.", flush=True)
    done = _run([sys.executable, "-m", "playwright", "install", "chromium"], DOWNLOAD_SECONDS)
    return _working(own) if done else None


def _working(path: str | None) -> str | None:
    """``path`` if it runs: a download without the system's libraries does not."""
    if path and os.access(path, os.X_OK) and _run([path, "--version"], ANSWER_SECONDS):
        return path
    return None


def _run(command: list[str], seconds: float) -> bool:
    """Whether the command succeeded in time; its output is seen. If it did not, it and what it started are ended."""
    process = subprocess.Popen(command, env=os.environ | {"DEBIAN_FRONTEND": "noninteractive"},
                               stdin=subprocess.DEVNULL, start_new_session=True)
    try:
        return process.wait(seconds) == 0
    except subprocess.TimeoutExpired:
        print(f"{command[0]} took longer than {seconds:g} s and is stopped.", flush=True)
        return False
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(STOP_SECONDS)
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


if __name__ == "__main__":
    sys.exit(main())
