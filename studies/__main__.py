"""Run the study and write docs/results.md with its plots; some minutes on two cores."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from studies.choices import Study
from studies.replays import MarketFigures, all_markets
from studies.results import write

DOCS = Path(__file__).resolve().parents[1] / "docs"


def main(arguments: Sequence[str] | None = None) -> None:
    """Run, telling each market as it is done."""
    parser = argparse.ArgumentParser(prog="python -m studies", description=__doc__)
    parser.add_argument("--out", metavar="DIR", type=Path, default=DOCS, help="folder of the page (default: docs)")
    parser.add_argument("--processes", metavar="N", type=int, default=2, help="markets at a time (default: 2)")
    args = parser.parse_args(arguments)
    study = Study()

    def told(market: MarketFigures) -> None:
        print(f"seed {market.seed}: {market.messages:,} messages, {len(market.hours)} replays", flush=True)

    for path in write(study, all_markets(study, processes=args.processes, told=told), args.out):
        print(path)


if __name__ == "__main__":
    main()
