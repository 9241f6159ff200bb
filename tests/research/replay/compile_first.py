"""Compile the replay once, before tests run side by side: of two that find nothing compiled, each would compile it all.

``make test`` does it beside the checks. Where it has been done for these sources, it takes seconds.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.e2e.commands import SAMPLE


def main() -> None:
    """A replay with its log, and a sweep, which measures instead."""
    with TemporaryDirectory() as folder:
        cache = ["--set", f"backtest.cache_dir={folder}/cache"]
        for command in (
            ["backtest", SAMPLE, "--engine", "compiled", "--log-dir", f"{folder}/logs", *cache],
            ["sweep", "--tape", SAMPLE, "--grid", "strategy.ttl_ms=400,800", "--out", f"{folder}/sweep", *cache],
        ):
            subprocess.run(
                [Path(sys.executable).parent / command[0], *map(str, command[1:])],
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                check=True,
            )


if __name__ == "__main__":
    main()
