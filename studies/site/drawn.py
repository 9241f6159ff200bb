"""Parts of pages that are made from the code: each stands between two marks, and the rest of the page is left alone."""

from __future__ import annotations

from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[2]
DOCS: Final = ROOT / "docs"
COMMAND: Final = "python -m studies.site --write"


def marks(name: str) -> tuple[str, str]:
    """What stands before and after a part."""
    return f"<!-- {name}: written by `{COMMAND}` -->", f"<!-- {name}: end -->"


def with_part(text: str, name: str, part: str) -> str:
    """The page's text with this part written anew. Raises ValueError if the page has no marks of that name."""
    begin, end = marks(name)
    before, found, rest = text.partition(begin)
    _, closed, after = rest.partition(end)
    if not found or not closed:
        raise ValueError(f"a page has lost its marks {begin!r} and {end!r}")
    return f"{before}{begin}\n\n{part.strip()}\n\n{end}{after}"


def cell(text: str) -> str:
    """Text that cannot end a table's cell."""
    return text.replace("|", "\\|").replace("\n", " ")
