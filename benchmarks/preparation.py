"""Preparation of a tape beside orjson, which only parses its lines: ``python -m benchmarks.preparation``.

*Preparation* is all that is done once a tape: its file is read, lines are decoded and checked, the book is kept, and
columns are sorted and written. *orjson* is ``orjson.loads`` of every line, in memory and split before. Processor
seconds, in turns, the best of each: another program on the machine hurts both alike.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import orjson
from loguru import logger

from benchmarks import messages
from stall_then_strike.config.loader import load_app_config
from stall_then_strike.research.tables.columns import Manifest
from stall_then_strike.research.tables.prepare import write_columns

ROUNDS = 5


@dataclass(frozen=True, slots=True)
class Result:
    """Both on one tape."""

    load: str
    lines: int
    level_changes: int
    """Of deltas, as received."""
    megabytes: float
    ours_s: float
    orjson_s: float

    @property
    def times(self) -> float:
        """How many times as fast as orjson the preparation is."""
        return self.orjson_s / self.ours_s


def compare(load: str, tape: Path, rounds: int = ROUNDS) -> Result:
    """Both in turns, after one of each that is not counted: it compiles."""
    cfg = load_app_config(Path("configs/base.yml"), Path("configs/sim.yml"), [])
    lines = tape.read_bytes().splitlines(keepends=True)

    def parse() -> None:
        for line in lines:
            orjson.loads(line)

    best = [float("inf")] * 2
    with TemporaryDirectory(dir=tape.parent) as folder:
        held = write_columns([tape], cfg, Path(folder))
        for _ in range(rounds):
            for n, work in enumerate((lambda: write_columns([tape], cfg, Path(folder)), parse)):
                best[n] = min(best[n], processor_s(work))
    return Result(load, len(lines), held.level_changes, tape.stat().st_size / 1e6, *best)


def processor_s(work: Callable[[], Manifest | None]) -> float:
    """What it used of a processor, in seconds."""
    started = time.process_time()
    work()
    return time.process_time() - started


def compare_all(hours: float = 1, loops: int = 100) -> list[Result]:
    """On a generated tape of so many hours, and on the recorded one, looped, where there is one."""
    with TemporaryDirectory() as name:
        messages.generated(tape := Path(name) / "generated.jsonl", hours=hours)
        found = [compare(f"generated, {hours:g} h", tape)]
        if (recorded := messages.recorded_tape()) is not None:
            messages.looped(recorded, tape := Path(name) / "recorded.jsonl", loops)
            found.append(compare(f"recorded, {loops} times", tape))
        return found


def show(results: list[Result]) -> None:
    """Print a table."""
    print(f"{'tape':<20}{'MB':>6}{'preparation':>14}{'orjson':>10}{'times as fast':>15}{'M level changes/s':>19}")
    for one in results:
        print(
            f"{one.load:<20}{one.megabytes:>6,.0f}{one.ours_s:>12.3f} s{one.orjson_s:>8.3f} s{one.times:>15.2f}"
            f"{one.level_changes / one.ours_s / 1e6:>19.2f}"
        )


if __name__ == "__main__":
    logger.remove()
    show(compare_all())
