"""Where the workers' browser comes from. The package manager is a script that says what it was asked for."""

from __future__ import annotations

import os
import select
from pathlib import Path

import pytest
from sse_tasks_workers import get_browser as module
from sse_tasks_workers.get_browser import get_browser

from sse_tasks.errors import TaskError

BROWSER = '#!/bin/sh\necho "Chromium 1"\n'


def program(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.write_text(text)
    path.chmod(0o755)
    return path


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine with no program but those in this folder, no browser of Playwright's, and nobody to download from."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    monkeypatch.delenv("SSE_TASKS_BROWSER", raising=False)
    monkeypatch.setenv("PLAYWRIGHT_BROWSERS_PATH", str(tmp_path / "playwright"))
    monkeypatch.setenv("PLAYWRIGHT_DOWNLOAD_HOST", "http://127.0.0.1:1")
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(module, "_is_debian", lambda: True)
    return folder


@pytest.fixture
def apt(programs: Path) -> Path:
    """An apt-get that finds the package once it has been told to update, and installs it. Gives its log."""
    log = programs.parent / "apt.log"
    program(programs, "apt-get", f"""#!/bin/sh
echo "$*" >> {log}
[ "$1" = update ] && : > {programs}/updated && exit 0
[ -e {programs}/updated ] || exit 100
printf '%s' '{BROWSER}' > {programs}/chromium && /bin/chmod 755 {programs}/chromium
""")
    return log


def test_a_browser_that_is_there_is_taken(programs: Path, apt: Path) -> None:
    """Nothing is installed where there is a browser."""
    there = program(programs, "google-chrome", BROWSER)

    assert get_browser() == str(there)
    assert not apt.exists()


def test_a_chosen_browser_is_not_replaced(programs: Path, apt: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever names a browser that isn't there is told so, and nothing is installed in its place."""
    monkeypatch.setenv("SSE_TASKS_BROWSER", "/nowhere/chrome")

    with pytest.raises(TaskError, match="/nowhere/chrome"):
        get_browser()
    assert not apt.exists()


def test_debians_package_is_installed(programs: Path, apt: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Root on Debian gets the package, also with package lists that are not there yet, and is told beforehand."""
    assert get_browser() == str(programs / "chromium")

    assert [line.split()[0] for line in apt.read_text().splitlines()] == ["install", "update", "install"]
    assert "installing Debian's package chromium" in capfd.readouterr().out


@pytest.mark.parametrize("obstacle", ["not root", "not Debian", "no apt-get"])
def test_without_any_way_one_sentence_says_what_to_do(
        obstacle: str, programs: Path, apt: Path, monkeypatch: pytest.MonkeyPatch,
        capfd: pytest.CaptureFixture[str]) -> None:
    """Where no package may be installed and the download fails, the end is a sentence and status 1."""
    if obstacle == "not root":
        monkeypatch.setattr(os, "geteuid", lambda: 1000)
    elif obstacle == "not Debian":
        monkeypatch.setattr(module, "_is_debian", lambda: False)
    else:
        (programs / "apt-get").unlink()

    status = module.main()

    said = capfd.readouterr()
    assert status == 1
    assert not apt.exists()
    assert "downloading Playwright's Chromium" in said.out
    assert said.err.splitlines()[-1].startswith("There is no browser and none could be installed: ")


def test_what_does_not_run_is_no_browser(programs: Path) -> None:
    """A browser that can't start, for want of the system's libraries, is not passed off as one."""
    program(programs, "apt-get", f"""#!/bin/sh
printf '#!/bin/sh\\nexit 127\\n' > {programs}/chromium && /bin/chmod 755 {programs}/chromium
""")

    with pytest.raises(TaskError, match="none could be installed"):
        get_browser()


def test_an_installation_that_hangs_is_stopped(tmp_path: Path) -> None:
    """A command past its deadline is ended, and what it started too."""
    os.mkfifo(tmp_path / "alive")
    reader = os.open(tmp_path / "alive", os.O_RDONLY | os.O_NONBLOCK)

    assert not module._run(["/bin/sh", "-c", f"/bin/sleep 1000 > {tmp_path}/alive & wait"], 0.5)

    assert select.select([reader], [], [], 60)[0], "who holds the pipe lives on"
    assert os.read(reader, 1) == b""
    os.close(reader)
