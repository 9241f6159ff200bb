"""All speed figures in one table, each beside what it is compared with and its goal: ``make bench``.

``--quick`` takes a tenth of the samples. ``--write`` puts the tables into README.md, README.ja.md and docs/speed.md.
``--only KEY`` measures one section, and writes nothing.
"""

from __future__ import annotations

import argparse
import platform
import sys
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from time import perf_counter
from typing import Final

from loguru import logger

from benchmarks.rows import Row, listed, short_table, table, write
from benchmarks.sections import SECTIONS

ROOT: Final = Path(__file__).resolve().parent.parent


def machine() -> str:
    """What the figures are of."""
    model = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.is_file():
        named = [
            line.split(":", 1)[1].strip() for line in cpuinfo.read_text().splitlines() if line.startswith("model n")
        ]
        model = f"{len(named)} x {named[0]}" if named else model
    return f"{model}; {platform.python_implementation()} {platform.python_version()}, {platform.system()}"


def libraries() -> str:
    """The versions that the figures depend on."""
    return ", ".join(f"{name} {version(name)}" for name in ("pybotters", "aiohttp", "msgspec", "orjson"))


def documents(rows: dict[str, list[Row]]) -> dict[str, dict[str, str]]:
    """The blocks of each document, made from a run's rows by section."""
    chosen = [row for each in rows.values() for row in each if row.figure.japanese]
    english, japanese = f"One run of `make bench` on {machine()}.", f"`make bench` 1 回の結果。{machine()}"
    return {
        "README.md": {"figures": f"{short_table(chosen)}\n\n{english}"},
        "README.ja.md": {"figures": f"{short_table(chosen, japanese=True)}\n\n{japanese}"},
        "docs/speed.md": {
            **{key: table(each) for key, each in rows.items()},
            "machine": f"{english[:-1]}; {libraries()}.",
        },
    }


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, and print the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__.partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="a tenth of the samples: coarser figures in two minutes")
    parser.add_argument(
        "--write", action="store_true", help="put the tables into README.md, README.ja.md, docs/speed.md"
    )
    parser.add_argument("--only", action="append", choices=[one.key for one in SECTIONS], help="measure this section")
    flags = parser.parse_args(arguments)
    if flags.write and (flags.only or flags.quick):
        parser.error("what is written is of one whole run: --write goes without --only and --quick")
    logger.remove()
    rows: dict[str, list[Row]] = {}
    for section in SECTIONS:
        if flags.only is None or section.key in flags.only:
            started = perf_counter()
            rows[section.key] = section.rows(quick=flags.quick)
            sys.stderr.write(f"{section.title}: {perf_counter() - started:.0f} s\n")
    print(f"{machine()}; {libraries()}\n\n{listed([row for each in rows.values() for row in each])}")
    if flags.write:
        for name, blocks in documents(rows).items():
            write(ROOT / name, blocks)


if __name__ == "__main__":
    main()
