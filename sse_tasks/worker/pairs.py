"""How a keeper and its runner come to be, for one task and no other: by forks, or as new interpreters."""

from __future__ import annotations

from .handles import PIPE_BYTES, Pair, Runner
from .start_method import forks

if forks():
    from .forking import prepare, start_pair, start_runner
else:
    from .spawning import prepare, start_pair, start_runner

__all__ = ["PIPE_BYTES", "Pair", "Runner", "prepare", "start_pair", "start_runner"]
