"""``rehearse`` as its user knows it: consent, refusals before anything is sent, exit codes, and what it leaves."""

from __future__ import annotations

import os
import pty
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from stall_then_strike.infra.bitflyer.credentials import Credentials
from stall_then_strike.infra.clock import SystemClock
from stall_then_strike.infra.journal.writer import Journal, journal_path
from tests.e2e.commands import REPO, TIMEOUT_S, UNLAGGING, read_line, running
from tests.e2e.forked import forked
from tests.e2e.test_doctor import KEY, SECRET, environment

BASE = ("--base", str(REPO / "configs/base.yml"))
LIVE = (*BASE, "--config", str(REPO / "configs/live.yml"))


@pytest.fixture(scope="module")
def venue() -> Iterator[str]:
    account = ("--api-key", KEY, "--api-secret", SECRET, "--collateral", "3000000")
    with running("sim_exchange", *account, "--maintenance", "off") as process:
        yield read_line(process, r"ready rest=(\S+)")[1]


def at(venue: str) -> list[str]:
    urls = {"base_url": venue, "ws_url": f"{venue.replace('http', 'ws')}/json-rpc"}
    sets = [f"exchange.{name}={value}" for name, value in urls.items()]
    sets += ["journal.dir=journal", "session.quiet=[]", "watch.min_free_disk_mb=1"]
    sets += ["strategy.stale_ms=10000"]  # a machine that stands still for a moment is not to end the order early
    return [*LIVE, *(word for one in sets for word in ("--set", one)), *UNLAGGING, "--report", "r.md"]


def rehearse(folder: Path, *args: str, said: str | None = None) -> tuple[int, str, str]:
    """Exit code, output and errors. With ``said`` there is a terminal on which that is typed."""
    reader, terminal = pty.openpty() if said is not None else (None, None)
    try:
        if said is not None and reader is not None:
            os.write(reader, f"{said}\n".encode())
        done = forked(
            "rehearse",
            *args,
            cwd=folder,
            env=environment(folder, KEY, SECRET, 80),
            stdin=subprocess.DEVNULL if terminal is None else terminal,
            timeout=TIMEOUT_S,
        )
    finally:
        for number in (reader, terminal):
            if number is not None:
                os.close(number)
    return done.returncode, done.stdout, done.stderr


@pytest.mark.slow(seconds=15)
def test_typed_consent_begins_it_and_the_report_has_the_steps(venue: str, tmp_path: Path) -> None:
    code, out, err = rehearse(tmp_path, *at(venue), "--round-trip", said="rehearse")
    assert (code, err) == (0, ""), out
    assert "with a REAL ORDER" in out
    assert "No deviation" in out
    assert all(len(line) <= 80 for line in out.partition("the order is sent")[2].splitlines())
    text = (tmp_path / "r.md").read_text()
    assert "- CANCEL comes on the private channel" in text
    assert "not seen" not in text
    assert KEY not in text + out
    assert SECRET not in text + out


@pytest.mark.parametrize(
    ("args", "said", "words"),
    [
        ((), "yes", "not begun; accepted: rehearse"),
        ((), None, "no terminal to ask for consent on"),
        (("--distance", "0.1"), "rehearse", "--distance"),
        (("--config", str(REPO / "configs/paper.yml")), "rehearse", "env: paper is not for this command"),
    ],
)
def test_without_consent_or_with_bad_input_nothing_is_sent(
    venue: str, args: tuple[str, ...], said: str | None, words: str, tmp_path: Path
) -> None:
    code, _, err = rehearse(tmp_path, *at(venue), *args, said=said)
    assert code == 2
    assert words in err
    assert list(tmp_path.iterdir()) == []


def test_yes_is_refused_at_the_real_venue(tmp_path: Path) -> None:
    code, _, err = rehearse(tmp_path, *LIVE, "--yes", "--report", "r.md")
    assert code == 2
    assert "--yes: not for https://api.bitflyer.com; accepted: typing rehearse when asked" in err
    assert list(tmp_path.iterdir()) == []


def test_refused_while_another_process_holds_the_account(venue: str, tmp_path: Path) -> None:
    """As `run_live` does."""
    held = Journal.open(
        journal_path(tmp_path / "elsewhere", "FX_BTC_JPY"),
        product_code="FX_BTC_JPY",
        account=Credentials(key=KEY, secret=SECRET).fingerprint,
        now_ns=SystemClock().now_ns(),
    )
    with held:
        code, out, err = rehearse(tmp_path, *at(venue), "--yes")
    assert code == 1
    assert "rehearse: " in err
    assert "order is sent" not in out
    assert not (tmp_path / "r.md").exists()
