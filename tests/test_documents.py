"""The documents agree with the files: paths and links lead somewhere, and DESIGN.md stays one page."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).resolve().parent.parent
PACKAGE: Final = ROOT / "src/stall_then_strike"
PAGES: Final = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]
MOST_LINES: Final = 150


def named(page: Path) -> str:
    return str(page.relative_to(ROOT))


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_links_lead_somewhere(page: Path) -> None:
    links = re.findall(r"\]\((?!https?:|#)([^)#]+)", page.read_text(encoding="utf-8"))
    assert [link for link in links if not (page.parent / link).exists()] == []


@pytest.mark.parametrize("page", [page for page in PAGES if page.name != "CHANGELOG.md"], ids=named)
def test_modules_that_are_named_exist(page: Path) -> None:
    paths = re.findall(
        r"`([\w/]+/\w+\.py|(?:app|config|engine|infra|research|sim|tapes|types)/(?:\w+/)?)`",
        page.read_text(encoding="utf-8"),
    )
    assert [path for path in paths if not (PACKAGE / path).exists() and not (ROOT / path).exists()] == []


def test_design_is_one_page_that_leads_to_all_others() -> None:
    text = (ROOT / "DESIGN.md").read_text(encoding="utf-8")
    assert len(text.splitlines()) <= MOST_LINES
    pages = {str(page.relative_to(ROOT)) for page in (ROOT / "docs/design").glob("*.md")}
    assert pages <= set(re.findall(r"\]\(([^)]+)\)", text))
