"""The front end's types, checked by TypeScript as they stand in its comments: nothing is built from it."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

TYPESCRIPT = "typescript@5.9"
TYPES = Path(__file__).parent / "types"


@pytest.fixture(scope="module")
def compiler(pytestconfig: pytest.Config) -> Path:
    """TypeScript's compiler, fetched once and kept in pytest's cache."""
    npm = shutil.which("npm")
    if npm is None:
        pytest.skip("TypeScript needs Node and npm, and neither is needed for anything else.")
    folder = Path(str(pytestconfig.cache.mkdir("typescript")))
    compiler = folder / "node_modules" / ".bin" / "tsc"
    if not compiler.exists():
        fetched = subprocess.run([npm, "install", "--prefix", str(folder), "--no-audit", "--no-fund", TYPESCRIPT],
                                 capture_output=True, text=True, timeout=100)
        if fetched.returncode:
            pytest.skip(f"TypeScript could not be fetched: {fetched.stderr.strip()[-200:]}")
    return compiler


def test_the_front_ends_types_fit(compiler):
    """No property is misspelt, no argument missing or too many, nothing declared that nobody uses."""
    checked = subprocess.run([str(compiler), "--project", str(TYPES)], capture_output=True, text=True, timeout=100)

    assert checked.returncode == 0, checked.stdout
