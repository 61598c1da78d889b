"""While a worker file is imported, nothing is started: it is imported wherever its task types are looked for, and by
each of its tasks, so that one that starts a task by that would start tasks without end."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from .errors import WorkerDefinitionError

__all__ = ["importing", "refuse_while_importing"]

_here = threading.local()


@contextmanager
def importing() -> Iterator[None]:
    """While the context is open, this thread imports a worker."""
    before, _here.imports = getattr(_here, "imports", False), True
    try:
        yield
    finally:
        _here.imports = before


def refuse_while_importing() -> None:
    """Raises WorkerDefinitionError in a worker file that starts a task, or looks for their types, as it is imported."""
    if getattr(_here, "imports", False):
        raise WorkerDefinitionError(
            "A worker file can't start tasks while it is imported, for it is imported by each task and wherever task "
            'types are looked for: do it in a function, or below `if __name__ == "__main__":`.')
