"""The site: it is built without a warning and asks nobody else for anything, and its pages say what the code has."""

from __future__ import annotations

import csv
import os
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from typing import Final, get_args

import pytest
import yaml

from stall_then_strike.app.shell import command
from stall_then_strike.app.trader import live_alerts
from stall_then_strike.app.watchdog import NO_HEARTBEAT
from stall_then_strike.config.changes import RISK_KEYS, STRATEGY_KEYS
from stall_then_strike.infra.logging_structured import columns
from stall_then_strike.infra.logs import journal_csv
from stall_then_strike.infra.logs.run_record import Mode, RunRecord
from stall_then_strike.infra.watch.alerts import AlertKind
from stall_then_strike.types.dto import Reason
from studies.site import panel, settings
from studies.site.__main__ import wanted
from studies.site.drawn import COMMAND, DOCS, ROOT, with_part
from studies.site.hooks import PAGES
from studies.site.words import GROUPS

HANDBOOK: Final = (DOCS / "failures.md").read_text("utf-8")
LOADING: Final = {"script": "src", "img": "src", "iframe": "src", "link": "href", "source": "src", "video": "src"}
"""Tags that make a browser ask for something, and where they say for what."""


class Asked(HTMLParser):
    """What a page makes a browser ask for, and the links and anchors that it has."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.loads: list[str] = []
        self.links: list[str] = []
        self.anchors: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        self.anchors |= {given[name] for name in ("id", "name") if name in given}
        if (name := LOADING.get(tag)) in given and given.get("rel") != "canonical":
            self.loads.append(given[str(name)])
        if tag == "a" and "href" in given:
            self.links.append(given["href"])


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site, built as `make docs` builds it."""
    pytest.importorskip("mkdocs", reason="needs the group docs")
    folder = tmp_path_factory.mktemp("site")
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", folder],
        cwd=ROOT,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


def test_site_asks_nobody_else_for_anything(site: Path) -> None:
    pages = list(site.rglob("*.html"))
    assert len(pages) > 30
    for page in pages:
        text = page.read_text("utf-8")
        foreign = [address for address in Asked(text).loads if re.match(r"(https?:)?//", address)]
        assert foreign == [], page.name
        assert 'class="mermaid"' not in text, f"{page.name}: the theme would load a script for it"
    for style in site.rglob("*.css"):
        assert re.findall(r"(?:@import\s+|url\()[\"']?(?:https?:)?//", style.read_text("utf-8")) == [], style.name
    for drawing in site.rglob("*.svg"):
        assert re.findall(r"(?:href|src)=[\"']https?:|url\([\"']?https?:", drawing.read_text("utf-8")) == [], (
            drawing.name
        )


def test_links_of_the_site_lead_somewhere(site: Path) -> None:
    asked = {page: Asked(page.read_text("utf-8")) for page in site.rglob("*.html")}
    broken = []
    for page, found in asked.items():
        for link in [*found.links, *found.loads]:
            path, _, anchor = link.partition("#")
            if page.name == "404.html" or re.match(r"[a-z]+:", link):
                continue
            target = (page.parent / path).resolve() if path else page
            target = target / "index.html" if target.is_dir() else target
            if not target.exists() or (anchor and target in asked and anchor not in asked[target].anchors):
                broken.append(f"{page.relative_to(site)}: {link}")
    assert broken == []


def test_every_page_is_in_the_contents() -> None:
    text = (ROOT / "mkdocs.yml").read_text("utf-8")
    listed = re.findall(r"[\w/.-]+\.md", text)
    there = [path.relative_to(DOCS).as_posix() for path in DOCS.rglob("*.md")]
    assert sorted(listed) == sorted([*there, *PAGES])


def test_pages_and_comments_are_what_the_command_writes() -> None:
    stale = [path.name for path, text in wanted().items() if path.read_text("utf-8") != text]
    assert stale == [], f"run `{COMMAND}`"


def test_page_without_its_marks_is_refused() -> None:
    with pytest.raises(ValueError, match="marks"):
        with_part("# Settings\n", "settings", "")


def test_every_setting_has_a_row_with_meaning_and_what_is_accepted() -> None:
    rows = [line.split(" | ") for line in settings.reference().splitlines() if line.startswith("| `")]
    keys = [one for part in settings.parts() for one in part.settings]
    assert len(rows) == len(keys)
    assert all(one.meaning and settings.accepts(one.field) for one in keys)
    at_once = [one.key for one in keys if one.key in settings.RELOADED]
    assert set(at_once) == STRATEGY_KEYS | RISK_KEYS
    assert settings.reference().count("| at once |") == len(at_once)


def test_comments_of_the_base_file_change_no_value() -> None:
    text = settings.BASE.read_text("utf-8")
    assert yaml.safe_load(settings.commented(text)) == yaml.safe_load(text)
    assert max(map(len, text.splitlines())) <= 120


def test_every_reason_is_in_one_group() -> None:
    assert all(sum(reason in numbers for _, numbers in GROUPS) == 1 for reason in Reason)


# --- The handbook


def section(title: str) -> str:
    """A chapter of the handbook."""
    return re.split(r"^## ", HANDBOOK.partition(f"\n## {title}\n")[2], maxsplit=1, flags=re.MULTILINE)[0]


def test_handbook_has_every_halt() -> None:
    (halts,) = (numbers for title, numbers in GROUPS if title == "Why trading is halted")
    wanted_halts = {reason.label for reason in Reason if reason in halts}
    assert set(re.findall(r"^### `(\w+)`$", section("Halts"), re.MULTILINE)) == wanted_halts


def test_handbook_has_every_alert_by_kind_and_title() -> None:
    alerts = section("Alerts")
    assert re.findall(r"^### (\w+)$", alerts, re.MULTILINE) == [kind.value for kind in AlertKind]
    told = dict(re.findall(r"^### (\w+)$\n(.*?)(?=^### |\Z)", alerts, re.MULTILINE | re.DOTALL))
    for kind, title in live_alerts._KINDS.values():
        assert f'- "{title}"' in told[kind.value], title
    app = ROOT / "src/stall_then_strike/app"
    sent = {NO_HEARTBEAT}
    for path in app.rglob("*.py"):
        sent |= set(re.findall(r'AlertKind\.\w+, "([\w ]+)"', path.read_text("utf-8")))
    sent |= set(re.findall(r'self\._say\(\s*"([\w ]+)"', (app / "watchdog.py").read_text("utf-8")))
    assert {title for title in sent if f'- "{title}"' not in alerts} == set()


def test_handbook_has_every_exit_code() -> None:
    codes = [value for name, value in vars(command).items() if name.startswith("EXIT_")]
    assert [int(code) for code in re.findall(r"^\| (\d+) \|", section("Exit codes"), re.MULTILINE)] == sorted(codes)


# --- The logs

EXPORTED: Final = {"orders": journal_csv.ORDERS, "fills": journal_csv.FILLS, "facts": journal_csv.FACTS}


@pytest.mark.parametrize("kind", columns())
def test_page_of_logs_has_the_columns_of_each_file(kind: str) -> None:
    assert told_columns(f"## {kind}") == list(columns()[kind])


@pytest.mark.parametrize("kind", EXPORTED)
def test_page_of_logs_has_the_columns_of_what_the_journal_exports(kind: str) -> None:
    assert told_columns(f"### {kind}.csv") == list(EXPORTED[kind])


def test_page_of_logs_has_the_keys_and_modes_of_a_run_s_record() -> None:
    assert told_columns("## run.json") == list(RunRecord.model_fields)
    text = (DOCS / "logs.md").read_text("utf-8")
    assert [mode for mode in get_args(Mode) if f"`{mode}`" not in text] == []


def told_columns(heading: str) -> list[str]:
    """The columns that the page tells below a heading, in order."""
    rest = (DOCS / "logs.md").read_text("utf-8").partition(f"\n{heading}\n")[2]
    return re.findall(r"^\| `(\w+)` \| \S", re.split(r"\n##", rest, maxsplit=1)[0], re.MULTILINE)


def test_rows_of_the_panel_are_those_of_its_picture() -> None:
    told = re.findall(r"^\| `([\w ]+)` \|", (DOCS / "start.md").read_text("utf-8"), re.MULTILINE)
    drawn = re.sub(r"<[^>]+>", " ", panel.PICTURE.read_text("utf-8")).replace("&#160;", " ")
    assert told
    assert [row for row in told if not re.search(rf"\s{row}\s", drawn)] == []


# --- In two languages


def outline(name: str) -> list[tuple[str, ...]]:
    """What both languages have to have: levels of headings, commands, images, rows of tables."""
    found: list[tuple[str, ...]] = []
    for line in (ROOT / name).read_text("utf-8").splitlines():
        if heading := re.match(r"(#+) ", line):
            found.append(("heading", heading[1]))
        elif line.startswith("    "):
            found.append(("command", re.sub(r"\s*#.*$", "", line).strip()))
        elif line.startswith("|"):
            (cells,) = csv.reader([line], delimiter="|")
            found.append(("row", str(len(cells)), *re.findall(r"`[^`]+`", line)))
        elif line.startswith(("![", "<img")):
            found.append(("image", *re.findall(r"[\w/.-]+\.(?:svg|png)", line)))
    return found


def test_japanese_readme_has_the_outline_of_the_english_one() -> None:
    english, japanese = outline("README.md"), outline("README.ja.md")
    assert len(english) > 30
    assert japanese == english
