"""Which functions of ours a frame of the socket walks through while the whole daemon trades.

    python -m tests.live.walk           calls and files of a board frame that leads to nothing, to a strike, of a fill
    python -m tests.live.walk --list    and the calls by name

A walk begins where the frame is handed over and ends when that call returns: orders are on their way by then, their
answers and the log rows come later. Counted are calls of Python functions in our files; calls of
built-in functions made there are told beside them.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from types import CodeType, FrameType
from typing import Any

from rich.console import Console

import stall_then_strike
from stall_then_strike.app.trader.live_run import LiveRun
from stall_then_strike.types.dto import BoardSnapshot
from tests.scenarios.at_work import at_work

HOUSE = str(Path(stall_then_strike.__file__).parent)
NOTHING, STRIKE, FILL = "nothing", "strike", "fill"


@dataclass(frozen=True, slots=True)
class Walk:
    """The calls of one frame."""

    kind: str
    calls: Counter[CodeType]
    builtins: int

    @property
    def count(self) -> int:
        return self.calls.total()

    @property
    def files(self) -> int:
        return len({code.co_filename for code in self.calls})


class Walker:
    """Counts the calls of each frame of a run. Attach it before the run begins."""

    def __init__(self) -> None:
        self.walks: list[Walk] = []

    def attach(self, run: LiveRun) -> None:
        session: Any = run.connection.session
        handle: Callable[..., None] = session._on_frame
        core, tally = run.core, run.core.record.tally

        def counted(data: bytes, ws: object) -> None:
            calls, builtins = Counter[CodeType](), 0

            def note(frame: FrameType, event: str, _argument: object) -> None:
                nonlocal builtins
                if frame.f_code.co_filename.startswith(HOUSE):
                    calls[frame.f_code] += event == "call"
                    builtins += event == "c_call"

            board, strikes, fills, placed = core.board, tally.strikes, tally.fills, core.orders.any_live
            sys.setprofile(note)
            try:
                handle(data, ws)
            finally:
                sys.setprofile(None)
            if tally.fills > fills:
                self.walks.append(Walk(FILL, +calls, builtins))
            elif tally.strikes > strikes and core.board is not board:
                self.walks.append(Walk(STRIKE, +calls, builtins))
            elif core.board is not board and not placed and is_same_best(board, core.board):
                self.walks.append(Walk(NOTHING, +calls, builtins))

        session._on_frame = counted

    def shortest(self, kind: str) -> Walk:
        """The walk with the fewest calls: the others do something else besides, such as to ask for the account."""
        return min((walk for walk in self.walks if walk.kind == kind), key=lambda walk: walk.count)


def is_same_best(before: BoardSnapshot, after: BoardSnapshot) -> bool:
    """Whether both prices stand still and the book is known: a frame like most."""
    return before[1:] != after[1:] and before.best_since_ns == after.best_since_ns and before.status == after.status


async def walked(folder: Path, walks: int) -> Walker:
    """A run of the daemon on the embedded exchange, until there are so many walks of each kind, and thrice of fills."""
    walker = Walker()
    wanted = {NOTHING: walks, STRIKE: walks, FILL: 3 * walks}
    async with at_work(folder, begin=False) as work:
        work.room.attend = walker.attach
        await work.start()
        await work.until("walks", lambda: Counter(walk.kind for walk in walker.walks) >= Counter(wanted))
        await work.stop_and_check()
    return walker


def main() -> None:
    """Print the shortest walk of each kind."""
    flags = argparse.ArgumentParser(prog="python -m tests.live.walk")
    flags.add_argument("--list", action="store_true", help="print the calls by name")
    arguments = flags.parse_args()
    with TemporaryDirectory() as folder:
        walker = asyncio.run(walked(Path(folder), 20))
    out = Console(width=120, highlight=False)
    for kind in (NOTHING, STRIKE, FILL):
        walk = walker.shortest(kind)
        out.print(f"{kind:<8} {walk.count:4} calls in {walk.files:2} files, and {walk.builtins} of built-in functions")
        if arguments.list:
            for code, count in sorted(walk.calls.items(), key=lambda item: (item[0].co_filename, item[0].co_qualname)):
                out.print(
                    f"    {count:3} {code.co_filename.removeprefix(HOUSE + '/')}: {code.co_qualname}", markup=False
                )


if __name__ == "__main__":
    main()
