"""Compiles with numba, typed for mypy, with a cache that cannot be stale (`kernel_cache`)."""

from __future__ import annotations

import types
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final, TypeVar, cast

import numba
from numba.core import event
from numba.extending import intrinsic

from stall_then_strike.research.replay.kernel_cache import cache_folder

F = TypeVar("F", bound=Callable[..., Any])

_COMPILE: Final = "numba:compile"
_FOLDER: Final = cache_folder()
_SETTINGS: Final[Any] = numba.config
if _FOLDER is not None:
    _SETTINGS.CACHE_DIR = str(_FOLDER)


def jit(function: F) -> F:
    """Compile a function for calls from other compiled functions, once for given types; integers are int64.

    By default numba compiles a function again for every constant argument, and a wrapper for Python around each: that
    would be half of all compile time. Here a constant is an ordinary integer, and Python calls only `entry` functions.
    """
    return _compiled(function, no_cpython_wrapper=True)


def inlined(function: F) -> F:
    """Compile a function as `jit` does, into its callers: for what is called often and from one place."""
    return _compiled(function, no_cpython_wrapper=True, forceinline=True)


def entry(function: F) -> F:
    """Compile a function as `jit` does, for calls from Python."""
    return _compiled(function)


def _compiled(function: F, **options: bool) -> F:
    njit: Any = numba.njit
    # Without _nrt=False every call counts references to its arrays, atomically, which is slow. None may be made then.
    compiled = njit(cache=_FOLDER is not None, no_cfunc_wrapper=True, _nrt=False, **options)(function)
    compile_for, unliteral = compiled.compile, cast(Any, numba.types.unliteral)
    compiled.compile = lambda kinds: compile_for(tuple(unliteral(kind) for kind in kinds))
    return cast(F, compiled)


def jit_with(function: F, **callees: Callable[..., Any]) -> F:
    """Compile a function of another layer with the functions that it calls replaced by compiled ones."""
    return jit(_bound(function, callees))


def inlined_with(function: F, **callees: Callable[..., Any]) -> F:
    """Compile a function as `jit_with` does, into its callers."""
    return inlined(_bound(function, callees))


def _bound(function: F, callees: dict[str, Callable[..., Any]]) -> F:
    if not isinstance(function, types.FunctionType):
        raise TypeError(f"{function!r} is not a plain function")
    return cast(F, types.FunctionType(function.__code__, {**function.__globals__, **callees}, function.__name__))


def _word(_: Any, text: Any, at: Any) -> Any:
    kind = numba.types.uint64

    def load(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        data = context.make_array(signature.args[0])(context, builder, arguments[0]).data
        place = builder.bitcast(builder.gep(data, [arguments[1]]), context.get_value_type(kind).as_pointer())
        return builder.load(place, align=1)

    return kind(text, at), load


word: Final = cast(Callable[[Any, int], Any], intrinsic(_word))
"""Eight bytes of an array of bytes, from an index on, as one unsigned number. They must exist: nothing is checked."""


class _Compilations(event.Listener):
    def __init__(self, on_compiled: Callable[[], None]) -> None:
        self._on_compiled = on_compiled

    def on_start(self, event: Any) -> None:
        """A compilation begins."""

    def on_end(self, event: Any) -> None:
        """A compilation is done."""
        self._on_compiled()


@contextmanager
def compilations(on_compiled: Callable[[], None]) -> Iterator[None]:
    """Call ``on_compiled`` after each function compiled in the block; functions from the cache do not count."""
    listener = _Compilations(on_compiled)
    event.register(_COMPILE, listener)  # type: ignore[no-untyped-call]  # numba has few types
    try:
        yield
    finally:
        event.unregister(_COMPILE, listener)  # type: ignore[no-untyped-call]  # the same
