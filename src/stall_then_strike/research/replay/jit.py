"""Compiling with numba, typed for mypy, with a cache that cannot be stale (`kernel_cache`)."""

from __future__ import annotations

import types
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final, TypeVar, cast

import numba
from numba.core import event

from stall_then_strike.research.replay.kernel_cache import cache_folder

F = TypeVar("F", bound=Callable[..., Any])

_COMPILE: Final = "numba:compile"
_FOLDER: Final = cache_folder()
_SETTINGS: Final[Any] = numba.config
if _FOLDER is not None:
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


class _Compilations(event.Listener):
    def __init__(self, on_compiled: Callable[[], None]) -> None:
        self._on_compiled = on_compiled

    def on_start(self, event: Any) -> None:
        """One begins."""

    def on_end(self, event: Any) -> None:
        """One is done."""
        self._on_compiled()


@contextmanager
def compilations(on_compiled: Callable[[], None]) -> Iterator[None]:
    """Tell of each function that is compiled in the block, once it is; of those that the cache had, nothing."""
    listener = _Compilations(on_compiled)
    event.register(_COMPILE, listener)  # type: ignore[no-untyped-call]  # numba has few types
    try:
        yield
    finally:
        event.unregister(_COMPILE, listener)  # type: ignore[no-untyped-call]  # the same
