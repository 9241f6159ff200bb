"""Progress while functions are compiled, which the first run on a machine waits for.

Nothing is shown when all functions come from the cache.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Final

from rich.console import Console

from stall_then_strike.infra.clock import perf_ns
from stall_then_strike.types.dto import NS_PER_S

READER: Final = 35
"""About how many functions are compiled to prepare tapes."""
REPLAY: Final = 135
"""About how many functions are compiled to replay them."""


@contextmanager
def compiling(console: Console, doing: str, functions: int, check: Callable[[], None]) -> Iterator[None]:
    """Around work that may compile about ``functions`` functions: show that, the progress and the time it took.

    A terminal shows a line with a count; otherwise one line is printed when compiling begins. A final line is printed
    in both cases. ``check`` is called after each function: it raises what ends the command.
    """
    from stall_then_strike.research.replay.jit import compilations

    once = "once for this version on this machine, about half a minute in all"
    began_ns, ended_ns, count = perf_ns(), 0, 0

    def on_compiled() -> None:
        nonlocal count, ended_ns
        count, ended_ns = count + 1, perf_ns()
        if status is not None:
            status.update(f"{doing}: {min(count, functions)} of about {functions} functions compiled, {once}")
        elif count == 1:
            _say(console, f"{doing}: compiling first, {once}")
        check()

    with ExitStack() as stack:
        status = stack.enter_context(console.status(doing)) if console.is_terminal else None
        stack.enter_context(compilations(on_compiled))
        yield
    if count:
        _say(console, f"{doing}: {count} functions were compiled, in {(ended_ns - began_ns) / NS_PER_S:.0f} s")


def _say(console: Console, text: str) -> None:
    console.print(text, highlight=False, markup=False, soft_wrap=True)
