"""HTML that is escaped by how it is made: a text is a text, unless a tag made it."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape
from typing import Final

_VOID: Final = frozenset({"input", "link", "meta"})
"""Elements without an end."""


class Html(str):
    """Text that is HTML already."""

    __slots__ = ()


def tag(_name: str, *children: str, **attributes: str | float | None) -> Html:
    """An element. Children that are no ``Html`` are escaped, and so is every attribute.

    ``cls`` stands for ``class``; underscores in names become hyphens, as in ``aria_label``. None leaves an attribute
    out.
    """
    names = {"cls": "class"}
    given = "".join(
        f' {names.get(key, key.rstrip("_").replace("_", "-"))}="{escape(str(value))}"'
        for key, value in attributes.items()
        if value is not None
    )
    return Html(f"<{_name}{given}>" if _name in _VOID else f"<{_name}{given}>{joined(children)}</{_name}>")


def joined(parts: Iterable[str]) -> Html:
    """Parts one after the other."""
    return Html("".join(part if isinstance(part, Html) else escape(part) for part in parts))


def table(head: Iterable[tuple[str, str]], rows: Iterable[Iterable[str]], empty: str) -> Html:
    """A table that scrolls in itself; ``head`` has each column's title and class, ``empty`` stands for no rows.

    The class ``num`` aligns to the right.
    """
    columns = list(head)
    body = [
        tag("tr", *(tag("td", cell, cls=cls or None) for (_, cls), cell in zip(columns, row, strict=True)))
        for row in rows
    ]
    if not body:
        return tag("p", empty, cls="empty")
    first = tag("tr", *(tag("th", title, cls=cls or None, scope="col") for title, cls in columns))
    return tag("div", tag("table", tag("thead", first), tag("tbody", *body)), cls="scroll", tabindex="0")
