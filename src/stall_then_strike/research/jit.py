"""Compiling with numba, typed for mypy, and with a cache that cannot be stale.

numba's own cache looks at the file of the compiled function only: a change in a function that it calls would go
unnoticed. So the folder of the cache is named by the text of every module that is compiled, and by numba's version.
"""

from __future__ import annotations

import hashlib
import os
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, TypeVar, cast

import numba

import stall_then_strike

F = TypeVar("F", bound=Callable[..., Any])

_PACKAGE: Final = Path(stall_then_strike.__file__).parent
_COMPILED: Final = (
    "research/*.py",
    "sim/fill_rules.py",
    "sim/latency.py",
    "engine/strategy_stall.py",
    "engine/budget.py",
    "types/*.py",
)


def sources() -> str:
    """A digest of the text of every compiled module, and of numba's version."""
    digest = hashlib.blake2b(numba.__version__.encode(), digest_size=12)
    for pattern in _COMPILED:
        for path in sorted(_PACKAGE.glob(pattern)):
            digest.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()


def _cache_folder() -> Path | None:
    """A folder of the user's own; None where there is none to write to."""
    base = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    folder = Path(base) / "stall_then_strike" / "numba" / sources()
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        return None
    return folder if os.access(folder, os.W_OK) else None


_FOLDER: Final = _cache_folder()
_SETTINGS: Final[Any] = numba.config
if _FOLDER is not None and not _SETTINGS.CACHE_DIR:
    _SETTINGS.CACHE_DIR = str(_FOLDER)


def jit(function: F) -> F:
    """The function, compiled at its first call with these types; integers are of 64 bits."""
    return cast(F, numba.njit(cache=_FOLDER is not None)(function))


def jit_with(function: F, **callees: Callable[..., Any]) -> F:
    """Compile a function of another layer, which calls others of its module: the same code, with those compiled."""
    if not isinstance(function, types.FunctionType):
        raise TypeError(f"{function!r} is not a plain function")
    bound = types.FunctionType(function.__code__, {**function.__globals__, **callees}, function.__name__)
    return cast(F, jit(bound))
