"""``make demo``, as it is run: a shop, a Jupyter server, a kernel and a browser, all real."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import psutil
import pytest

pytestmark = pytest.mark.timeout(300)

NOTEBOOKS = Path(__file__).resolve().parents[2] / "notebooks"


def demo(folder: Path, *cells: str) -> subprocess.CompletedProcess[str]:
    """Runs the demo in a copy of the notebooks' folder; with cells, on a notebook of these instead of its own."""
    shutil.copytree(NOTEBOOKS, folder / "notebooks", ignore=shutil.ignore_patterns(".*", "__pycache__"))
    if cells:
        notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
        nbformat.write(notebook, folder / "notebooks" / "scrape_reviews.ipynb")
    return subprocess.run([sys.executable, "notebooks/demo.py"], cwd=folder, capture_output=True, text=True,
                          timeout=280)


def left_behind(folder: Path) -> list[str]:
    """The processes that have to do with the folder."""
    found = []
    for process in psutil.process_iter():
        try:
            if str(folder) in " ".join([*process.cmdline(), process.cwd()]):
                found.append(" ".join(process.cmdline()))
        except psutil.Error:
            continue
    return found


@pytest.mark.browser
def test_the_demo_does_the_main_job(tmp_path: Path) -> None:
    """It shows the progress that the event stream tells, then the reviews; the notebook lies there as it ran."""
    done = demo(tmp_path)

    assert done.returncode == 0, done.stderr
    assert re.search(r"^\s+\[[#.]{20}\]\s+\d+ %  running  \d+ reviews", done.stdout, re.M), done.stdout
    assert re.search(r"^\s+\[#{20}\]  100 %  completed  36 reviews", done.stdout, re.M), done.stdout
    assert "Marta Lindqvist" in done.stdout
    assert done.stdout.splitlines()[-1] == "The notebook as it ran: .demo/scrape_reviews.ipynb"
    ran = nbformat.read(tmp_path / ".demo" / "scrape_reviews.ipynb", as_version=4)
    assert any("36" in str(cell.get("outputs")) for cell in ran.cells)
    assert left_behind(tmp_path) == []


def test_the_demo_says_what_failed(tmp_path: Path) -> None:
    """A failing cell ends it with status 1 and its error; what ran before is kept, as a page would show it."""
    done = demo(
        tmp_path,
        "from IPython.display import clear_output\n"
        "print('gone'); clear_output(); print('one'); print('two')\nshown = display('first', display_id=True)",
        "shown.update('second')",
        "raise ValueError('the shop is closed')",
        "print('never')")

    assert done.returncode == 1
    assert "the shop is closed" in done.stderr
    first, _, third, fourth = nbformat.read(tmp_path / ".demo" / "scrape_reviews.ipynb", as_version=4).cells
    assert [output.get("text") or output.data["text/plain"] for output in first.outputs] == ["one\ntwo\n", "'second'"]
    assert third.outputs[0].evalue == "the shop is closed"
    assert not fourth.outputs
    assert left_behind(tmp_path) == []
