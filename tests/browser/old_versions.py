"""``python -m tests.browser.old_versions``: the task view in the oldest JupyterLab and Notebook that it is for.

Makes an environment with those and the package as a wheel, once, and runs the tests of the view against it. It takes
some minutes and needs a package index, so it is no part of the suite.
"""

from __future__ import annotations

import os
import subprocess
import sys
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "build" / "old_versions"
VERSIONS = "jupyterlab==4.0.13", "notebook==7.0.8"


def main() -> int:
    """Gives pytest's exit status."""
    python = FOLDER / "bin" / "python"
    if not python.exists():
        venv.create(FOLDER, with_pip=True)
        subprocess.run([python, "-m", "pip", "install", "--quiet", *VERSIONS, "ipykernel"], check=True)
    # Anew each time, and as a wheel: the front end is then served as it is after `pip install`.
    subprocess.run([python, "-m", "pip", "install", "--quiet", "--force-reinstall", "--no-deps", ROOT], check=True)
    subprocess.run([python, "-m", "pip", "install", "--quiet", *VERSIONS, ROOT], check=True)
    tests = [sys.executable, "-m", "pytest", "tests/browser/test_notebooks.py", *sys.argv[1:]]
    return subprocess.run(tests, cwd=ROOT, env=os.environ | {"SSE_TASKS_LAB_PYTHON": str(python)}).returncode


if __name__ == "__main__":
    sys.exit(main())
