"""Results of days, weeks and months as tables."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import date
from decimal import Decimal
from typing import Final

from stall_then_strike.app.web.drawing.console_words import Words
from stall_then_strike.app.web.drawing.markup import Html, joined, table, tag
from stall_then_strike.app.web.drawing.panes import card
from stall_then_strike.app.web.past_results import Result, first_of_month, monday, together
from stall_then_strike.types.text import money, plain

_DAYS_SHOWN: Final = 62


def past_pane(days: Sequence[Result], zone: str, words: Words) -> Html:
    """All three tables, below a chart of the days."""
    if not days:
        return card(words("results"), tag("p", words("results.none"), cls="empty"))
    week: Callable[[date], str] = lambda day: words("results.week.of", date=day.isoformat())  # noqa: E731 - typed
    tables = (
        card(words("results.day"), _bars(days, words), _table(days[:_DAYS_SHOWN], date.isoformat, words)),
        card(words("results.week"), _table(together(days, monday), week, words)),
        card(words("results.month"), _table(together(days, first_of_month), lambda day: f"{day:%Y-%m}", words)),
    )
    return joined((*tables, tag("p", words("results.note", zone=zone), cls="empty")))


def _table(results: Sequence[Result], name: Callable[[date], str], words: Words) -> Html:
    has_several = len({one.product for one in results}) > 1
    head = [
        (words("col.period"), ""),
        *([(words("col.product"), "")] if has_several else []),
        *((words(f"col.{column}"), "num") for column in ("fills", "volume", "fees", "result")),
    ]
    rows = (
        (
            name(one.first),
            *([one.product] if has_several else []),
            f"{one.fills:,}",
            plain(one.volume),
            money(one.fees, signed=False),
            tag("b", money(one.pnl)),
        )
        for one in results
    )
    return table(head, rows, words("results.none"))


def _bars(days: Sequence[Result], words: Words) -> Html:
    """A bar for each of the last days, up for a gain and down for a loss, oldest first."""
    totals: dict[date, Decimal] = {}
    for one in days:
        totals[one.first] = totals.get(one.first, Decimal(0)) + one.pnl
    shown = sorted(totals.items())[-_DAYS_SHOWN:]
    if len(shown) < 2:
        return Html("")
    most = max(abs(pnl) for _, pnl in shown) or Decimal(1)
    bars = (
        tag(
            "i",
            style=f"--h:{float(abs(pnl) / most):.3f}",
            cls="loss" if pnl < 0 else "gain",
            title=f"{day.isoformat()} {money(pnl)}",
        )
        for day, pnl in shown
    )
    return tag("div", *bars, cls="bars", role="img", aria_label=words("results.day"))
