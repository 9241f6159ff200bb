"""Draw the order table and the state diagram of docs/design/orders.md from ``NEXT`` in engine/orders.py.

Run by ``make diagrams``. The part of the page between the two marks is written anew; the rest is left as it is.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

from stall_then_strike.engine.orders import NEXT, REPEATS, TERMINAL, Local, OrderState
from stall_then_strike.types.dto import OrderEventKind

PAGE: Final = Path(__file__).resolve().parents[1] / "docs/design/orders.md"
BEGIN: Final = "<!-- The part up to the next mark is drawn from NEXT by `make diagrams`. -->"
END: Final = "<!-- End of the part that is drawn. -->"

Input = OrderEventKind | Local
INPUTS: Final[tuple[Input, ...]] = (*OrderEventKind, *Local)
LIVE: Final = tuple(state for state in OrderState if state not in TERMINAL)


def drawn() -> str:
    """The diagram and the table, as Markdown."""
    return f"{diagram()}\n\n{table()}"


def diagram() -> str:
    """A mermaid state diagram. An input that ends every live state is one arrow from the group of live states."""
    shared = {by: after for by, after in NEXT[LIVE[0]].items() if all(NEXT[s].get(by) is after for s in LIVE)}
    shared = {by: after for by, after in shared.items() if after in TERMINAL}
    lines = ["stateDiagram-v2", f"    [*] --> {OrderState.PENDING_NEW}: placed", "    state live {"]
    for state in LIVE:
        own = ((by, after) for by, after in NEXT[state].items() if by not in shared and after in LIVE)
        lines += [f"        {line}" for line in _arrows(state, own)]
    lines.append("    }")
    lines += [f"    {line}" for line in _arrows("live", shared.items())]
    for state in LIVE:
        own = ((by, after) for by, after in NEXT[state].items() if by not in shared and after in TERMINAL)
        lines += [f"    {line}" for line in _arrows(state, own)]
    return "\n".join(["```mermaid", *lines, "```"])


def _arrows(before: OrderState | str, moves: Iterable[tuple[Input, OrderState]]) -> Iterator[str]:
    """One arrow for each next state, labelled with all inputs that lead there. Inputs that change nothing have none."""
    labels: dict[OrderState, list[str]] = {}
    for by, after in moves:
        if after is not before:
            labels.setdefault(after, []).append(by)
    return (f"{before} --> {after}: {', '.join(by)}" for after, by in labels.items())


def table() -> str:
    """One row for each input, one column for each state."""
    head = [f"| input | {' | '.join(OrderState)} |", f"|---|{'---|' * len(OrderState)}"]
    return "\n".join(head + [f"| `{by}` | {' | '.join(_cell(s, by) for s in OrderState)} |" for by in INPUTS])


def _cell(state: OrderState, by: Input) -> str:
    after = NEXT[state].get(by)
    if after is None:
        return "repeat" if by in REPEATS.get(state, ()) else ""
    return "same" if after is state else f"**{after}**"


def with_drawing(text: str) -> str:
    """The page's text with its drawn part written anew."""
    before, _, rest = text.partition(BEGIN)
    _, found, after = rest.partition(END)
    if not found:
        raise ValueError(f"{PAGE} has lost its marks {BEGIN!r} and {END!r}")
    return f"{before}{BEGIN}\n\n{drawn()}\n\n{END}{after}"


if __name__ == "__main__":
    PAGE.write_text(with_drawing(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
