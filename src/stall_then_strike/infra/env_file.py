"""Variables in a ``.env`` file, which may be secrets: no error shows a value."""

from __future__ import annotations

import os
from pathlib import Path

from dotenv import dotenv_values

from stall_then_strike.types.errors import ConfigError


def read_env_file(path: Path, accepted: str) -> dict[str, str | None]:
    """All variables of the file, empty if there is no file. Values are literal: ``${NAME}`` is not replaced.

    ``accepted`` says what the file should have. Raises ConfigError.
    """
    if not os.path.lexists(path):
        return {}
    if path.is_dir():
        raise ConfigError(f"{path}: is a folder; accepted: {accepted}")
    failure: str
    try:
        with path.open(encoding="utf-8-sig") as stream:
            return dict(dotenv_values(stream=stream, interpolate=False))
    except UnicodeDecodeError:  # its message would show the bytes around the error
        failure = "is not UTF-8; accepted: a text file"
    except OSError as error:
        failure = f"cannot be read: {error.strerror}; accepted: a file that this user may read"
    raise ConfigError(f"{path}: {failure}")
