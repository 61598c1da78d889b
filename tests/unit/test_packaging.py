"""What is installed, by each way of installing it: built, put into a new environment, and looked at from there.

The new environments see the packages of this one, so that nothing is downloaded; ours they see only as installed.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import venv
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = {"sse_tasks": "sse_tasks", "sse_tasks_server": "jupyter_server_ext/sse_tasks_server",
            "sse_tasks_workers": "workers/sse_tasks_workers"}
LAB_EXTENSION = "share/jupyter/labextensions/sse-tasks"
MADE = shutil.ignore_patterns(".*", "__pycache__", "dist", "build", "*.egg-info")
LOOK = """
import importlib.metadata, json, pathlib, sys
import sse_tasks, sse_tasks_server, sse_tasks_workers
from sse_tasks.registry import load_worker
workers = importlib.metadata.entry_points(group="sse_tasks.workers")
print(json.dumps({
    "folders": {module.__name__: str(pathlib.Path(module.__file__).parent)
                for module in (sse_tasks, sse_tasks_server, sse_tasks_workers)},
    "version": importlib.metadata.version("sse_tasks"), "said": sse_tasks.__version__,
    "workers": {entry.name: load_worker({"module": entry.value}, entry.name).name for entry in workers},
    "prefix": sys.prefix}))
"""

# As ``python -m``, without jsonschema's grammar of addresses, which takes a second to load and which nobody needs here.
MODULE = """
import runpy, sys
sys.modules["rfc3987_syntax"] = None
del sys.argv[0]
runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
"""


def run(*command: str | Path, cwd: Path) -> str:
    """What the command printed, error output included; the test fails if it fails."""
    environ = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "VIRTUAL_ENV")}
    done = subprocess.run(command, cwd=cwd, env=environ, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          timeout=100)
    assert done.returncode == 0, f"{command}: {done.stdout[-3000:]}"
    return done.stdout


@dataclass(frozen=True)
class Built:
    """A copy of the sources, and what was built: the wheel of the sdist, and that of the sources."""

    source: Path
    sdist: Path
    sdist_wheel: Path
    wheel: Path


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    folder = tmp_path_factory.mktemp("built")
    shutil.copytree(ROOT, folder / "source", ignore=MADE)
    if (ROOT / ".gitignore").exists():
        shutil.copy(ROOT / ".gitignore", folder / "source")
    build = [sys.executable, "-m", "build", "--no-isolation"]
    run(*build, "--outdir", folder / "of_sdist", folder / "source", cwd=folder)
    run(*build, "--wheel", "--outdir", folder / "of_sources", folder / "source", cwd=folder)
    [sdist], [sdist_wheel] = (folder / "of_sdist").glob("*.tar.gz"), (folder / "of_sdist").glob("*.whl")
    [wheel] = (folder / "of_sources").glob("*.whl")
    return Built(folder / "source", sdist, sdist_wheel, wheel)


@dataclass(frozen=True)
class Installed:
    """A new environment with the package in it, and what a look from inside gives."""

    way: str
    folder: Path
    python: Path
    look: dict[str, Any]


@pytest.fixture(scope="module", params=["wheel", "sdist", "editable"])
def installed(request: pytest.FixtureRequest, built: Built, tmp_path_factory: pytest.TempPathFactory) -> Installed:
    folder = tmp_path_factory.mktemp(request.param)
    venv.create(folder / "env", with_pip=False, symlinks=True)
    python = folder / "env" / "bin" / "python"
    site_packages = run(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))", cwd=folder).strip()
    # As a path in a .pth file the packages of this environment are seen, but its .pth files are not read: its own
    # editable install of ours stays out.
    Path(site_packages, "tests_environment.pth").write_text(sysconfig.get_path("purelib") + "\n")
    what = {"wheel": [built.wheel], "sdist": [built.sdist_wheel], "editable": ["--editable", built.source]}
    run(sys.executable, "-m", "pip", "--python", python, "install", "--ignore-installed", "--no-deps", "--no-index",
        "--no-build-isolation", *what[request.param], cwd=folder)
    return Installed(request.param, folder, python, json.loads(run(python, "-c", LOOK, cwd=folder)))


def test_packages_come_from_the_install(installed: Installed, built: Built) -> None:
    """All three packages are imported from where they were installed, with their version."""
    home = built.source if installed.way == "editable" else installed.folder / "env"

    assert all(Path(folder).is_relative_to(home) for folder in installed.look["folders"].values()), installed.look
    assert installed.look["version"] == installed.look["said"]


def test_packages_are_typed(installed: Installed) -> None:
    """Type checkers of users find the types of each package."""
    for folder in installed.look["folders"].values():
        assert (Path(folder) / "py.typed").exists()


def test_shipped_workers_are_found(installed: Installed) -> None:
    """The task types that ship are there as entry points, under the names that they have."""
    workers = installed.look["workers"]

    assert "scrape-reviews" in workers
    assert all(name == found for name, found in workers.items())


def test_server_extension_is_enabled(installed: Installed) -> None:
    """``jupyter server extension list`` says that the extension is enabled and OK, without anything being done."""
    said = run(installed.python, "-c", MODULE, "jupyter_server", "extension", "list", cwd=installed.folder)

    assert re.search(r"sse_tasks_server.*enabled", said), said
    assert re.search(r"sse_tasks_server .*OK", said), said


def test_lab_extension_is_enabled(installed: Installed) -> None:
    """``jupyter labextension list`` says that JupyterLab's and Notebook's extension is enabled and OK, too."""
    said = run(installed.python, "-c", MODULE, "jupyterlab.labextensions", "list", cwd=installed.folder)

    assert re.search(r"sse-tasks v\S+ .*enabled.* .*OK.* \(python, sse_tasks\)", said), said


def test_lab_extension_has_its_files(installed: Installed, built: Built) -> None:
    """What the extension's description names is there: in the wheel in a folder that no other content shares, for
    browsers keep it for a year; of an editable install at the address where the server has the files of the sources."""
    extension = installed.folder / "env" / LAB_EXTENSION
    build = json.loads((extension / "package.json").read_text())["jupyterlab"]["_build"]
    frontend = built.source / "sse_tasks" / "frontend"
    script = extension / build["load"]

    if installed.way == "editable":
        assert build["load"] == "../../../static/sse_tasks/container.js"
        assert {path.name for path in extension.iterdir()} == {"package.json", "install.json"}
        script = frontend / "container.js"
    else:
        assert re.fullmatch(r"static/[0-9a-f]{12}/container\.js", build["load"])
        assert {path.name: path.read_bytes() for path in script.parent.iterdir()} == {
            path.name: path.read_bytes() for path in frontend.iterdir() if path.is_file()}
    assert all((script.parent / f"{build[part]}.js").exists() for part in ("extension", "mimeExtension", "style"))


def test_another_content_is_another_folder(built: Built, tmp_path: Path) -> None:
    """A change of one file of the front end moves all of them: a page never mixes what is old with what is new."""
    shutil.copytree(built.source, tmp_path / "source")
    with open(tmp_path / "source" / "sse_tasks" / "frontend" / "style.js", "a") as file:
        file.write("// changed\n")
    build = [sys.executable, "-m", "hatchling", "build", "--target", "wheel"]
    run(*build, "--directory", tmp_path, cwd=tmp_path / "source")
    [changed] = tmp_path.glob("*.whl")

    def folders(wheel: Path) -> set[str]:
        found = [re.search(rf"/{LAB_EXTENSION}/static/(\w+)/", name) for name in zipfile.ZipFile(wheel).namelist()]
        return {match[1] for match in found if match}

    assert len(folders(built.wheel)) == len(folders(changed)) == 1
    assert folders(built.wheel) != folders(changed)


def test_wheel_holds_every_file_of_the_packages(built: Built) -> None:
    """Nothing of a package is left out of the wheel, and nothing else is in it but what Jupyter is to find."""
    inside = {name for name in zipfile.ZipFile(built.wheel).namelist() if ".dist-info/" not in name}
    there = {f"{package}/{path.relative_to(built.source / place)}" for package, place in PACKAGES.items()
             for path in (built.source / place).rglob("*") if path.is_file() and "__pycache__" not in path.parts}

    assert there - inside == set()
    assert {name.split("/")[1] for name in inside - there} <= {"data"}, sorted(inside - there)


def test_sdist_gives_the_same_wheel(built: Built) -> None:
    """A wheel of the sdist holds what a wheel of the sources holds, byte for byte."""
    of_sources, of_sdist = zipfile.ZipFile(built.wheel), zipfile.ZipFile(built.sdist_wheel)

    assert {info.filename: info.CRC for info in of_sources.infolist()} == {
        info.filename: info.CRC for info in of_sdist.infolist()}


def test_sdist_is_all_that_is_needed_to_go_on(built: Built) -> None:
    """Whoever has the sdist can build, test and demonstrate: all but what was made is in it."""
    with tarfile.open(built.sdist) as archive:
        inside = {name.partition("/")[2] for name in archive.getnames()}

    assert {"Makefile", "README.md", "CHANGELOG.md", "CONTRIBUTING.md", "LICENSE", "pyproject.toml",
            "hatch_build.py", "notebooks/demo.py", "tests/conftest.py", "jupyter_server_ext/sse_tasks.json"} <= inside
    assert not [name for name in inside if "__pycache__" in name or name.startswith((".venv", ".git/"))]
