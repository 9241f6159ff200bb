"""``make crosscheck``: where our replay and hftbacktest agree, and by which rule they differ."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

from rich import box
from rich.console import Console
from rich.table import Table

from studies.crosscheck import agreement, order_script, same_terms
from studies.crosscheck.same_terms import Tape
from studies.crosscheck.their_rules import Law, Rule, Theirs
from tests.e2e.commands import SAMPLE
from tests.shared_data import TAPE_NAME, shared_folder

MODELS = [Theirs(law=law, partial=partial) for law in Law for partial in (False, True)]


def tapes(folder: Path, seconds: float) -> Iterator[tuple[str, Tape, int, int]]:
    """Name, tape, and of its script: pause between orders and longest life, milliseconds."""
    yield "sample", Tape(SAMPLE), 100, 5_000
    made = same_terms.generated(folder / "made.jsonl", seconds=seconds, seed=3, lost=0.01)
    yield f"generated, {seconds:g} s", made, 100, 75_000
    recorded = shared_folder() / "data" / "bitflyer" / TAPE_NAME
    if recorded.is_file():
        yield "recorded, 30 s", Tape(recorded), 20, 8_000


def main() -> int:
    """Print the tables; 1 if anything is unexplained."""
    flags = argparse.ArgumentParser(prog="python -m studies.crosscheck", description=__doc__)
    flags.add_argument("--seconds", type=float, default=300, help="length of the generated tape (default: %(default)g)")
    args = flags.parse_args()
    orders = Table("tape", "theirs", *("orders", "agree"), *(rule.name for rule in Rule), "?", box=box.SIMPLE)
    runs = Table("tape", "rule put on", "fills", "same", "to 1 µs", "strikes", "JPY", box=box.SIMPLE)
    unexplained = 0
    with TemporaryDirectory() as folder:
        for name, tape, every_ms, longest_ms in tapes(Path(folder), args.seconds):
            for theirs in MODELS:
                cfg = same_terms.settings(theirs.law)
                script = order_script.script(tape.messages, cfg, seed=1, every_ms=every_ms, longest_ms=longest_ms)
                found = agreement.explain(tape, cfg, theirs, script)
                unexplained += len(found.unexplained) + found.code
                counts = (
                    f"{found.by_rule[rule]}/{found.touched[rule]}" if found.touched[rule] else "" for rule in Rule
                )
                kind = f"{theirs.law.value}{', partial' if theirs.partial else ''}"
                orders.add_row(name, kind, str(found.orders), str(found.agree), *counts, str(len(found.unexplained)))
            compared = agreement.compare(tape, same_terms.settings(Law.POWER), Theirs(law=Law.POWER))
            for step in compared.steps:
                runs.add_row(
                    name,
                    "(ours)" if step.rule is None else step.rule.name,
                    *(str(count) for count in (step.fills, step.same, step.near)),
                    "same" if step.strikes_same else "other",
                    f"{step.pnl_jpy:+.3f}",
                )
            last = compared.steps[-1]
            runs.add_row(name, "hftbacktest", str(len(compared.theirs.fills)), "", "", "", f"{compared.pnl_jpy:+.3f}")
            unexplained += len(compared.theirs.fills) - last.same + compared.theirs.code
    screen = Console(width=170)
    screen.print(
        "Orders without feedback: how many agree, how many a rule of theirs explains/changes, and how many none"
    )
    screen.print(orders)
    screen.print("The strategy: our run as their rules are put on (power prob, no partial fills)")
    screen.print(runs)
    for rule in Rule:
        screen.print(f"{rule.name:<9}{rule.value}")
    screen.print(f"\nunexplained: {unexplained}")
    return 1 if unexplained else 0


if __name__ == "__main__":
    sys.exit(main())
