"""Run the study and write docs/results.md with its plots; a few minutes on two cores."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from studies.choices import Study
from studies.facts import shared_folder
from studies.findings import REAL, Findings, findings, load, save
from studies.recorded import tapes_in
from studies.replays import GENERATED, MarketFigures, all_markets
from studies.results import write

DOCS = Path(__file__).resolve().parents[1] / "docs"


def main(arguments: Sequence[str] | None = None) -> None:
    """Run, telling each market as it is done."""
    parser = argparse.ArgumentParser(prog="python -m studies", description=__doc__)
    parser.add_argument("--out", metavar="DIR", type=Path, default=DOCS, help="folder of the page (default: docs)")
    parser.add_argument("--processes", metavar="N", type=int, default=2, help="markets at a time (default: 2)")
    parser.add_argument(
        "--tapes",
        metavar="DIR",
        type=Path,
        default=shared_folder(),
        help="folder of recorded tapes (default: data/bitflyer of the folder STS_SHARED, or of ../shared)",
    )
    args = parser.parse_args(arguments)
    study, tapes = Study(), tapes_in(args.tapes)
    for name, why in tapes.skipped.items():
        print(f"skipped {name}: {why}")
    kept = None if tapes.tapes else _kept(study)

    def told(market: MarketFigures) -> None:
        print(f"{market.name}: {market.messages:,} messages, {len(market.runs)} settings", flush=True)

    markets = all_markets(study, tapes.tapes, processes=args.processes, told=told)
    made = findings(study, [market for market in markets if market.source == GENERATED])
    real = kept or findings(study, [market for market in markets if market.source != GENERATED], tapes.skipped)
    if kept is None and args.out == DOCS:
        save(real, study.digest())
    for path in write(study, real, made, args.out):
        print(path)


def _kept(study: Study) -> Findings:
    """The recorded figures of the last run with tapes."""
    print(f"no recorded tapes here: the recorded figures are those of {REAL.name}")
    found, digest = load()
    if digest != study.digest():
        sys.exit(f"{REAL.name} is of other settings ({digest}): it takes the tapes to make it again")
    return found


if __name__ == "__main__":
    main()
