"""What was tried against the losses and is no part of the strategy: figures that were kept, as a section of the page.

Each idea was written into the compiled strategy as a prototype and judged walk-forward over the recorded pieces, then
left out again. `tried.json` has the figures, the settings they were made with, and which values were tried.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

from stall_then_strike.research.figures.estimates import Estimate
from studies.tables import fixed, spread_out, table

TRIED: Final = Path(__file__).with_name("tried.json")
_HEAD: Final = (
    "",
    "JPY an hour",
    "against it",
    "at equal volume",
    "against the settings",
    "fills an hour",
    "JPY per BTC",
)


def section() -> str:
    """The section of the page."""
    held: Any = json.loads(TRIED.read_text(encoding="utf-8"))
    parts = [_ABOUT.format(source=held["source"])]
    for start, base in held["bases"].items():
        rows = [_row(f"{start} itself", base), _row("the settings there are, chosen so", held["existing"][start])]
        rows += [_row(trial["title"], trial["rows"][start]) for trial in held["trials"] if start in trial["rows"]]
        parts.append(f"Starting from {start}:\n\n{table(_HEAD, rows)}")
    lines = [f"- *{trial['title']}* ({trial['values']}). {trial['words']}" for trial in held["trials"]]
    return "\n\n".join([*parts, "\n".join(lines), held["verdict"]])


def _row(name: str, held: dict[str, Any]) -> list[str]:
    def told(which: str) -> str:
        if which not in held:
            return ""
        value, half = held[which]
        found = Estimate(n=0, value=value, low=value - half, high=value + half, blocks=0)
        word = ("", " better", " worse")[found.verdict]
        return spread_out(found) + (word if which != "result" else "")

    return [
        name,
        *(told(which) for which in ("result", "against", "alike", "existing")),
        fixed(held["fills"], 0),
        fixed(held["per_btc"], 0),
    ]


_ABOUT: Final = """## What a market maker can do about it

Each idea was tried as a prototype of the compiled strategy, alone, so that its effect is the difference to the same
settings without it. Walk-forward: the recorded pieces before choose its values (by JPY an hour, among those with a
quarter of the fills or more), the next piece judges; the three pieces of 2025-07-16 are judged. {source}

Trading less loses less, and not trading loses nothing. An idea therefore has to do more than that:

- *against it*: an hour of it against an hour of the settings it starts from;
- *at equal volume*: against what those settings make of each BTC, for the volume that it trades itself;
- *against the settings*: against the best of quote_mode, quote_offset_ticks and min_spread_tick, chosen in the same
  walk-forward. What they do already needs no new option.

It becomes an option of the strategy if it is better in the first and in one of the other two, with an interval that
leaves out zero."""
