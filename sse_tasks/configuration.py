"""Settings from Jupyter's config path, read by whoever starts tasks: server, kernel and shell alike."""

from __future__ import annotations

from typing import Any

__all__ = ["load_config"]


def load_config() -> Any:
    """What ``jupyter_sse_tasks_config.py`` and ``.json`` on Jupyter's config path say, the user's own last.

    Raises ConfigLoaderError, with the file's name, where one can't be read.
    """
    from jupyter_core.paths import jupyter_config_path
    from traitlets.config import Config
    from traitlets.config.loader import (
        ConfigFileNotFound,
        ConfigLoaderError,
        JSONFileConfigLoader,
        PyFileConfigLoader,
    )

    config = Config()
    for folder in reversed(jupyter_config_path()):
        for loader in (PyFileConfigLoader("jupyter_sse_tasks_config.py", path=folder),
                       JSONFileConfigLoader("jupyter_sse_tasks_config.json", path=folder)):
            try:
                config.merge(loader.load_config())
            except ConfigFileNotFound:
                continue
            except Exception as error:  # whatever a person has written there
                raise ConfigLoaderError(
                    f"{loader.full_filename} can't be read: {type(error).__name__}: {error}") from error
    return config
