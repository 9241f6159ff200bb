"""What the project weighs: the demo, the page of a report, the start of a command."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Final

ROOT: Final = Path(__file__).resolve().parent.parent
STARTS: Final = 7
_STS: Final = Path(sys.executable).with_name("sts")
_SET_UP_S: Final = 600
_RUN_S: Final = 300
_MB: Final = 10**6


@dataclass(frozen=True, slots=True, kw_only=True)
class Demo:
    """``make demo`` in a folder that has nothing yet. What pip has cached on this machine it need not fetch."""

    seconds: float
    """Of all of it: set-up and trading."""
    set_up_s: float
    megabytes: float
    """On the disk, after it."""


def demo() -> Demo | str:
    """Set up, and trade as the demo does; or why that is not possible."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for part in ("src", "scripts", "configs"):
            shutil.copytree(ROOT / part, folder / part, ignore=shutil.ignore_patterns("__pycache__"))
        for file in (
            *ROOT.glob("*.toml"),
            *ROOT.glob("*.lock"),
            *map(ROOT.joinpath, ("Makefile", "README.md", "LICENSE")),
        ):
            shutil.copy(file, folder)
        spent = []
        for words in (["scripts/setup", "run"], ["make", "demo"]):  # the second finds the set-up done
            started = perf_counter()
            done = subprocess.run(  # noqa: S603 - our own commands
                words, cwd=folder, capture_output=True, text=True, check=False, timeout=_SET_UP_S
            )
            if done.returncode:
                return done.stderr.strip().splitlines()[-1]
            spent.append(perf_counter() - started)
        blocks = sum(path.lstat().st_blocks for path in folder.rglob("*") if not path.is_relative_to(folder / "src"))
        return Demo(seconds=sum(spent), set_up_s=spent[0], megabytes=blocks * 512 / _MB)


def page(hours: float) -> float | str:
    """Megabytes of the report on so many hours of paper trading; or why there is none."""
    with tempfile.TemporaryDirectory() as folder:
        run = ("run_paper", "--sim", "--speed", "max", "--duration", f"{hours * 3_600:.0f}", "--seed", "7")
        for words in (run, ("report", "logs")):
            done = subprocess.run(  # noqa: S603 - our own command
                [_STS, *words], cwd=folder, capture_output=True, text=True, check=False, timeout=_RUN_S
            )
            if done.returncode:
                return done.stderr.strip().splitlines()[-1]
        return (Path(folder) / "logs/latest/report.html").stat().st_size / _MB


def help_s(starts: int = STARTS) -> float:
    """Seconds of ``sts --help``, the middle one of some starts."""
    spent = []
    for _ in range(starts):
        started = perf_counter()
        subprocess.run([_STS, "--help"], stdout=subprocess.DEVNULL, check=True, timeout=_RUN_S)  # noqa: S603 - our own command
        spent.append(perf_counter() - started)
    return median(spent)
