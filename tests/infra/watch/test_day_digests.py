"""Digests of days: their reports are made by real processes, and sent to a webhook on loopback."""

from __future__ import annotations

import asyncio
import base64
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest

from stall_then_strike.infra.watch.alerts import AlertKind
from stall_then_strike.infra.watch.day_digests import KEPT, DayDigests, ReportJob
from tests.infra.watch.alert_sink import alerts_to, open_alerts, serving
from tests.waiting import until

DAY = "2026-11-30"
WRITES = "import sys; open(sys.argv[1], 'w').write('<html>a day</html>')"
FAILS = "import sys; sys.stderr.write('first\\nneeds numpy from the extra research\\n'); sys.exit(2)"
HANGS = "import time; time.sleep(600)"
BEGINS = f"import sys; open(sys.argv[1], 'w').write('<html>'); {HANGS}"
LISTS = "import os, sys; open(sys.argv[1], 'w').write(' '.join(sorted(os.environ)))"


def job(folder: Path, script: str, day: str = DAY) -> ReportJob:
    out = folder / "reports" / f"{day}.html"
    return ReportJob(command=[sys.executable, "-c", script, str(out)], out=out)


Sent = list[tuple[str, Path | None]]


@asynccontextmanager
async def digesting(folder: Path, script: str, *, limit_s: float = 60) -> AsyncIterator[tuple[DayDigests, Sent]]:
    sent: Sent = []
    digests = DayDigests(
        lambda text, report: sent.append((text, report)), lambda day: job(folder, script, day), limit_s=limit_s
    )
    running = asyncio.create_task(digests.run())
    try:
        yield digests, sent
    finally:
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running


async def until_sent(sent: Sent, count: int = 1) -> None:
    async with asyncio.timeout(60):
        while len(sent) < count:  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0.02)


async def test_parts_of_one_day_are_one_digest_with_one_report(tmp_path: Path) -> None:
    async with digesting(tmp_path, WRITES) as (digests, sent):
        digests.put(DAY, "FX_BTC_JPY: +1 JPY")
        digests.put(DAY, "ETH_JPY: +2 JPY")
        await until_sent(sent)
        report = tmp_path / "reports" / f"{DAY}.html"
        assert sent == [("FX_BTC_JPY: +1 JPY\nETH_JPY: +2 JPY", report)]
        assert report.read_text() == "<html>a day</html>"


@pytest.mark.parametrize(
    ("script", "limit_s", "why"),
    [(FAILS, 60, "needs numpy from the extra research"), (HANGS, 0.5, "it took more than 0.5 s"), ("", 60, "with 0")],
)
async def test_without_a_report_the_digest_says_why(script: str, limit_s: float, why: str, tmp_path: Path) -> None:
    async with digesting(tmp_path, script, limit_s=limit_s) as (digests, sent):
        digests.put(DAY, "+1 JPY")
        await until_sent(sent)
        assert sent[0][0].startswith("+1 JPY\n(no report: ")
        assert why in sent[0][0]
        assert sent[0][1] is None


async def test_end_of_the_run_does_not_lose_a_digest(tmp_path: Path) -> None:
    """And ends the process."""
    begun = tmp_path / "reports" / f"{DAY}.html"
    async with digesting(tmp_path, BEGINS) as (digests, sent):
        digests.put(DAY, "+1 JPY")
        await until(begun.exists, 60)
        assert not sent
    assert sent == [("+1 JPY\n(no report: the run ended)", None)]


async def test_process_gets_no_secrets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("BITFLYER_API_SECRET", "STALL_ALERT_URLS", "LIGHTER_API_KEY_PRIVATE_KEY"):
        monkeypatch.setenv(name, "canary")
    async with digesting(tmp_path, LISTS) as (digests, sent):
        digests.put(DAY, "+1 JPY")
        await until_sent(sent)
        assert sent[0][1] is not None
        names = sent[0][1].read_text().split()
        assert "PATH" in names
        assert not [name for name in names if "KEY" in name or "SECRET" in name or "ALERT" in name]


async def test_old_reports_are_deleted(tmp_path: Path) -> None:
    (tmp_path / "reports").mkdir()
    for number in range(KEPT + 5):
        (tmp_path / "reports" / f"2026-01-{number:02d}.html").touch()
    async with digesting(tmp_path, WRITES) as (digests, sent):
        digests.put(DAY, "+1 JPY")
        await until_sent(sent)
        left = sorted(path.name for path in (tmp_path / "reports").iterdir())
        assert len(left) == KEPT
        assert left[-1] == f"{DAY}.html"


async def test_an_old_report_that_cannot_be_deleted_is_left_and_the_digest_sent(tmp_path: Path) -> None:
    """The task is the run's: an error in it would end trading."""
    (tmp_path / "reports" / "2026-01-00.html").mkdir(parents=True)
    for number in range(1, KEPT + 1):
        (tmp_path / "reports" / f"2026-01-{number:02d}.html").touch()
    async with digesting(tmp_path, WRITES) as (digests, sent):
        for day in (DAY, "2026-12-01"):
            digests.put(day, "+1 JPY")
            await until_sent(sent, 1 + (day != DAY))
        assert [report and report.name for _, report in sent] == [f"{DAY}.html", "2026-12-01.html"]
    left = sorted(path.name for path in (tmp_path / "reports").iterdir())
    assert left[:2] == ["2026-01-00.html", "2026-01-03.html"]


def test_without_reports_it_is_sent_at_once() -> None:
    sent: Sent = []
    DayDigests(lambda text, report: sent.append((text, report)), None).put(DAY, "+1 JPY")
    assert sent == [("+1 JPY", None)]


async def test_file_is_sent_along_and_a_sink_that_refuses_it_gets_the_text(tmp_path: Path) -> None:
    pytest.importorskip("apprise")
    report = tmp_path / "report.html"
    report.write_text("<html>a day</html>")
    async with serving() as good, serving() as small, open_alerts(alerts_to(good.url, small.url)) as alerts:
        small.takes_files = False
        alerts.send(AlertKind.SUMMARY, "trading day", "+1 JPY", report)
        taken = await good.next()
        assert taken["message"] == "+1 JPY"
        (file,) = taken["attachments"]
        assert file["filename"] == "report.html"
        assert base64.b64decode(file["base64"]) == report.read_bytes()
        assert (await small.next())["attachments"]
        again = await small.next()
        assert not again["attachments"]
        assert again["message"].startswith("+1 JPY\n(the file ")
