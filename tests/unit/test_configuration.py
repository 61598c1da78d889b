"""The config files that kernels and shells read, as servers do."""

from __future__ import annotations

from pathlib import Path

import pytest
from traitlets.config.loader import ConfigLoaderError

from sse_tasks.configuration import load_config


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Jupyter's config folder of the user."""
    monkeypatch.setenv("JUPYTER_CONFIG_DIR", str(tmp_path))
    return tmp_path


def test_both_forms_are_read(folder: Path) -> None:
    """Python and JSON; where both say something, JSON counts."""
    (folder / "jupyter_sse_tasks_config.py").write_text("c.TaskManager.max_running = 2\nc.TaskManager.keep_days = 3")
    (folder / "jupyter_sse_tasks_config.json").write_text('{"TaskManager": {"max_running": 5}}')

    assert load_config().TaskManager == {"max_running": 5, "keep_days": 3}


@pytest.mark.parametrize(("name", "text"), [
    ("jupyter_sse_tasks_config.json", '{"TaskManager": '),
    ("jupyter_sse_tasks_config.py", "def ("),
    ("jupyter_sse_tasks_config.py", "1 / 0"),
])
def test_a_file_that_cannot_be_read_is_named(folder: Path, name: str, text: str) -> None:
    """Who wrote it has to find it."""
    (folder / name).write_text(text)

    with pytest.raises(ConfigLoaderError, match=str(folder / name)):
        load_config()
