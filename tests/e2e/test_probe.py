"""``probe`` as its user knows it: its report, its exit codes, and that it sends nothing that could change anything."""

from __future__ import annotations

import re
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.commands import REPO, TIMEOUT_S, dead_port, read_line, running
from tests.e2e.forked import Forked
from tests.e2e.test_doctor import KEY, SECRET, environment, flags

LIGHTER = ("--base", str(REPO / "configs/base.yml"), "--config", str(REPO / "configs/lighter-sim.yml"))


@pytest.fixture(scope="module")
def venue() -> Iterator[str]:
    with running("sim_exchange", "--api-key", KEY, "--api-secret", SECRET, "--maintenance", "off") as process:
        yield read_line(process, r"ready rest=(\S+)")[1]


def probe(folder: Path, *args: str, key: str | None = KEY, secret: str | None = SECRET) -> Forked:
    return Forked("probe", *args, cwd=folder, env=environment(folder, key, secret, 80))


def ended(process: Forked) -> tuple[int, str, str]:
    out, err = process.communicate(timeout=TIMEOUT_S)
    return process.wait(), out, err


def at(venue: str, folder: Path, *more: str) -> list[str]:
    """Flags for the venue; the probe has no log folder."""
    given = flags(venue, folder)
    return [*given[: given.index("--log-dir")], "--report", "report.md", *more]


@pytest.mark.slow(seconds=12)
def test_faithful_venue_has_no_deviation(venue: str, tmp_path: Path) -> None:
    code, out, err = ended(probe(tmp_path, *at(venue, tmp_path, "--duration", "8")))
    assert (code, err) == (0, "")
    assert "with the account" in out
    assert "No deviation" in out
    assert all(len(line) <= 80 for line in out.splitlines())
    assert [path.name for path in tmp_path.iterdir()] == ["report.md"]
    text = (tmp_path / "report.md").read_text()
    assert KEY not in text + out
    assert SECRET not in text + out


@pytest.mark.slow(seconds=12)
@pytest.mark.parametrize("more", [(), ("--public",)])
def test_faithful_lighter_has_no_deviation(more: tuple[str, ...], tmp_path: Path) -> None:
    """The first of its three markets."""
    pytest.importorskip("lighter")
    flags = [*LIGHTER, *more, "--duration", "8", "--report", "report.md"]
    code, out, err = ended(probe(tmp_path, *flags, key=None))
    assert (code, err) == (0, "")
    assert "probe of ETH on the embedded exchange" in " ".join(out.split())
    assert "No deviation" in out
    assert ("account_all: 1 messages" in out) is (not more)
    assert all(len(line) <= 80 for line in out.splitlines())
    assert [path.name for path in tmp_path.iterdir()] == ["report.md"]


@pytest.mark.slow(seconds=9)
def test_deviations_end_with_1_and_are_in_the_report(tmp_path: Path) -> None:
    sets = ("--base", str(REPO / "configs/base.yml"), "--config", str(REPO / "configs/sim.yml"))
    (tmp_path / "faults.yml").write_text("faults: [{kind: wrong_date}, {kind: stuck_remaining}]\n")
    process = probe(tmp_path, *sets, "--set", "sim.faults=faults.yml", "--duration", "4", "--report", "r.md", key=None)
    code, out, err = ended(process)
    assert (code, err) == (1, "")
    assert "the count of the limit address is stuck" in out
    text = (tmp_path / "r.md").read_text()
    assert "### the clock (grave)" in text
    assert "x-ratelimit-remaining: 1" in text.lower()


@pytest.mark.slow(seconds=5)
def test_signal_ends_it_with_a_report(venue: str, tmp_path: Path) -> None:
    process = probe(tmp_path, *at(venue, tmp_path, "--public"), key=None)
    read_line(process, "without an account")
    process.send_signal(signal.SIGINT)
    code, _, _ = ended(process)
    assert code in (0, 1)  # it may have heard too little
    assert (tmp_path / "report.md").read_text().startswith("# Probe of the venue")


@pytest.mark.slow(seconds=4)
def test_nobody_there_is_a_deviation(tmp_path: Path) -> None:
    dead = f"http://127.0.0.1:{dead_port()}"
    more = ("--public", "--duration", "3", "--set", "ws.connect_timeout_sec=1")
    code, out, err = ended(probe(tmp_path, *at(dead, tmp_path, *more), key=None))
    assert code == 1
    assert "a run would not start: the feed" in out
    assert "Traceback" not in err


@pytest.mark.parametrize(
    ("args", "words"),
    [
        ((), "or --public, which needs no keys"),
        (("--set", "exchange.base_url=http://example.com", "--set", "exchange.ws_url=ws://x"), "bitFlyer over TLS"),
        (("--config", str(REPO / "configs/lighter.yml")), "or --public, which needs no keys"),
        (("--public", "--report", "old.md"), "--report old.md exists"),
        (("--duration", "0"), "--duration"),
    ],
)
def test_bad_input_is_named_and_ends_with_2(args: tuple[str, ...], words: str, tmp_path: Path) -> None:
    (tmp_path / "old.md").write_text("mine")
    base = ("--base", str(REPO / "configs/base.yml"), "--config", str(REPO / "configs/live.yml"))
    code, out, err = ended(probe(tmp_path, *base, *args, key=None))
    assert (code, out) == (2, "")
    assert words in err
    assert re.search("accepted", err)
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {"old.md": "mine"}
