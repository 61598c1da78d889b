"""Puts the front end where JupyterLab and Notebook 7 look for extensions. It copies files and compiles nothing."""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

NAME = "sse-tasks"
FRONTEND = "sse_tasks/frontend"
TARGET = f"share/jupyter/labextensions/{NAME}"
SERVED = "static/sse_tasks"
"""Where the server extension serves the front end, below the server's address."""


class LabExtension(BuildHookInterface):
    """Adds the extension to a wheel.

    An editable install has no copy of the front end: its package.json leads to the files that the server extension
    serves from the source tree, so that an edit counts from the next reload of the page.
    """

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Called by hatchling before it writes a wheel; ``version`` is "standard" or "editable"."""
        files = sorted(path for path in (Path(self.root) / FRONTEND).iterdir() if path.is_file())
        if version == "editable":
            folder = f"../../../{SERVED}"
        else:
            digest = hashlib.sha256(b"".join(b"%s\0%s\0" % (path.name.encode(), path.read_bytes()) for path in files))
            # A server tells browsers to keep what is below static/ for a year: other files need another folder.
            folder = f"static/{digest.hexdigest()[:12]}"
        package = {
            "name": NAME,
            "version": self.metadata.version,
            "description": self.metadata.core.description,
            "license": self.metadata.core.license_expression,
            "jupyterlab": {
                "extension": True,
                "_build": {"load": f"{folder}/container.js", "extension": "./extension", "mimeExtension": "./mime",
                           "style": "./style"},
            },
        }
        install = {"packageManager": "python", "packageName": self.metadata.core.raw_name,
                   "uninstallInstructions": f"pip uninstall {self.metadata.core.raw_name}"}
        self._made = Path(tempfile.mkdtemp())
        shared = build_data["shared_data"]
        for name, content in {"package.json": package, "install.json": install}.items():
            (self._made / name).write_text(json.dumps(content, indent=2) + "\n")
            shared[str(self._made / name)] = f"{TARGET}/{name}"
        if version != "editable":
            shared.update({str(path): f"{TARGET}/{folder}/{path.name}" for path in files})

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
        """Called by hatchling when the wheel is written."""
        shutil.rmtree(self._made)
