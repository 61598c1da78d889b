"""The checkers' view of the code, so that one command and one summary say all."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("checker", [["ruff", "check", "."], ["mypy"]], ids=lambda checker: checker[0])
def test_checkers_find_nothing(checker: list[str]) -> None:
    """Neither ruff nor mypy has anything to say, by the settings in pyproject.toml."""
    done = subprocess.run([sys.executable, "-m", *checker], cwd=ROOT, text=True, capture_output=True, timeout=110)

    assert done.returncode == 0, done.stdout + done.stderr
