"""Alerts against sinks on loopback: what arrives, what a bad sink may cost, and that no URL is ever shown."""

from __future__ import annotations

import asyncio
import io
import logging
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from loguru import logger

from stall_then_strike.infra.clock import VirtualClock
from stall_then_strike.infra.watch.alerts import QUEUE_ALERTS, AlertKind, Alerts, AlertUrls, load_alert_urls
from stall_then_strike.types.dto import NS_PER_S
from stall_then_strike.types.errors import ConfigError
from tests.infra.watch.alert_sink import SECRET, alerts_to, open_alerts, serving


@pytest.fixture
def told() -> Iterator[Callable[[], str]]:
    """Everything logged by loguru and the standard library, at all levels."""
    stream = io.StringIO()
    sink = logger.add(stream, level=0, diagnose=False, format="{message}\n{exception}")
    handler = logging.StreamHandler(stream)
    root = logging.getLogger()
    level = root.level
    root.addHandler(handler)
    root.setLevel(0)
    yield stream.getvalue
    root.setLevel(level)
    root.removeHandler(handler)
    logger.remove(sink)


async def test_alert_arrives_with_its_words() -> None:
    async with serving() as sink, open_alerts(alerts_to(sink.url)) as alerts:
        alerts.send(AlertKind.HALT, "halted: daily loss", "realised -31,000 JPY\nopen a panel")
        got = await sink.next()
    assert (got["title"], got["message"], got["type"]) == (
        "here: halted: daily loss",
        "realised -31,000 JPY\nopen a panel",
        "failure",
    )


async def test_one_alert_per_kind_within_the_pause_and_the_next_tells_of_the_others() -> None:
    clock = VirtualClock(0)
    async with serving() as sink, open_alerts(alerts_to(sink.url, clock=clock)) as alerts:
        for _ in range(5):
            alerts.send(AlertKind.DISCONNECT, "gone", "first")
        alerts.send(AlertKind.SUMMARY, "day", "another kind")
        clock.advance_to(60 * NS_PER_S)
        alerts.send(AlertKind.DISCONNECT, "gone", "second")
        clock.advance_to(120 * NS_PER_S)
        alerts.send(AlertKind.DISCONNECT, "gone", "third")
        texts = [(await sink.next())["message"] for _ in range(4)]
    assert texts == ["first", "another kind", "second\n(4 more of this kind since the last alert)", "third"]
    assert len(sink.got) == 4


async def test_hanging_sink_costs_the_loop_nothing_and_the_end_little(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stall_then_strike.infra.watch.alerts.CLOSE_S", 0.1)
    async with serving() as sink:
        sink.may_answer.clear()
        alerts = alerts_to(sink.url, pause_sec=0)
        with alerts:
            alerts.send(AlertKind.START, "started", "one")
            async with asyncio.timeout(20):
                await sink.asked.wait()  # the thread hangs in the sink from here on, and this loop runs
            for number in range(QUEUE_ALERTS):
                alerts.send(AlertKind.DISCONNECT, "gone", str(number))
            assert len(sink.got) == 1
            await asyncio.to_thread(alerts.close)
            assert alerts.dropped == QUEUE_ALERTS + 1
            alerts.send(AlertKind.STOP, "too late", "")
            assert alerts.dropped == QUEUE_ALERTS + 2


def test_program_ends_while_a_sink_hangs(tmp_path: Path) -> None:
    # A process of its own: what is tested is that the interpreter waits for no thread of apprise's.
    code = f"""
import socket
from stall_then_strike.infra.watch.alerts import AlertKind, Alerts, AlertUrls
from stall_then_strike.infra.clock import SystemClock
import stall_then_strike.infra.watch.alerts as module
module.CLOSE_S = 0.1
listener = socket.create_server(("127.0.0.1", 0))
port = listener.getsockname()[1]
urls = tuple(f"json://127.0.0.1:{{port}}/?rto=900" for _ in range(2))
with Alerts(AlertUrls(urls), pause_sec=0, clock=SystemClock()) as alerts:
    alerts.send(AlertKind.HALT, "halted", "{SECRET}")
    listener.accept()  # connected, never answered
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert "1 alert(s) not delivered" in done.stderr


async def test_full_queue_loses_the_oldest_that_is_no_halt_and_halts_go_first() -> None:
    async with serving() as sink, open_alerts(alerts_to(sink.url, pause_sec=0)) as alerts:
        sink.may_answer.clear()
        alerts.send(AlertKind.START, "started", "in hand")
        async with asyncio.timeout(20):
            await sink.asked.wait()
        alerts.send(AlertKind.HALT, "halted", "the halt")
        for number in range(QUEUE_ALERTS + 5):
            alerts.send(AlertKind.DISCONNECT, "gone", str(number))
        assert alerts.dropped == 6
        sink.may_answer.set()
        texts = [(await sink.next())["message"] for _ in range(QUEUE_ALERTS + 1)]
    assert texts[:3] == ["in hand", "the halt", "6"]
    assert texts[-1] == str(QUEUE_ALERTS + 4)


async def test_nothing_but_halts_loses_the_oldest_halt() -> None:
    async with serving() as sink, open_alerts(alerts_to(sink.url, pause_sec=0)) as alerts:
        sink.may_answer.clear()
        alerts.send(AlertKind.START, "started", "in hand")
        async with asyncio.timeout(20):
            await sink.asked.wait()
        for number in range(QUEUE_ALERTS + 1):
            alerts.send(AlertKind.HALT, "halted", str(number))
        sink.may_answer.set()
        texts = [(await sink.next())["message"] for _ in range(QUEUE_ALERTS + 1)]
    assert texts[1] == "1"
    assert alerts.dropped == 1


@pytest.mark.parametrize("status", [401, 500])
async def test_refusing_and_dead_sinks_are_logged_without_their_urls(status: int, told: Callable[[], str]) -> None:
    async with serving() as sink:
        sink.status = status
        dead = f"json://user:{SECRET}@127.0.0.1:9/{SECRET}"
        async with serving() as good, open_alerts(alerts_to(dead, sink.url, good.url)) as alerts:
            alerts.send(AlertKind.HALT, "halted", "all the same")
            assert (await good.next())["message"] == "all the same"
    assert "alert halt was not delivered by sink 1 of 3" in told()
    assert "by sink 2 of 3" in told()
    assert "by sink 3 of 3" not in told()
    assert SECRET not in told()


def test_without_urls_nothing_is_done() -> None:
    before = threading.active_count()
    with alerts_to() as alerts:
        alerts.send(AlertKind.HALT, "halted", "nobody hears it")
        assert (alerts.is_on, threading.active_count()) == (False, before)
    assert alerts.dropped == 0


@pytest.mark.parametrize("bad", [f"nosuchscheme://{SECRET}", f"json://:{SECRET}@", SECRET, f"tgram://{SECRET}"])
def test_bad_url_is_refused_by_its_place(bad: str, told: Callable[[], str]) -> None:
    with pytest.raises(ConfigError, match=r"STALL_ALERT_URLS: URL 2 of 2 is not accepted") as error:
        alerts_to("json://127.0.0.1:9/", bad)
    assert SECRET not in str(error.value) + repr(error.value) + told()


def test_missing_apprise_is_named_with_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "apprise", None)
    with pytest.raises(ConfigError, match=r"install stall-then-strike\[alerts\]"):
        alerts_to("json://127.0.0.1:9/")
    with alerts_to() as alerts:
        assert not alerts.is_on


def test_urls_are_not_in_any_repr() -> None:
    urls = AlertUrls((f"json://127.0.0.1:9/{SECRET}",))
    assert SECRET not in repr(urls) + str(urls) + repr(Alerts(urls, pause_sec=0, clock=VirtualClock(0)))


@pytest.mark.parametrize(
    ("text", "urls"),
    [
        ("json://a json://b", ("json://a", "json://b")),
        ("json://a,json://b", ("json://a", "json://b")),
        (" json://a\n,\tjson://b ,\n", ("json://a", "json://b")),
        ("mailto://u:p@h?to=a@x,b@y, json://b", ("mailto://u:p@h?to=a@x,b@y", "json://b")),
        ("not-a-url json://b", ("not-a-url", "json://b")),
        ("", ()),
    ],
)
def test_urls_are_separated_by_space_or_comma(text: str, urls: tuple[str, ...], tmp_path: Path) -> None:
    assert load_alert_urls(tmp_path / "none", {"STALL_ALERT_URLS": text}).urls == urls


def test_environment_wins_over_the_file(tmp_path: Path) -> None:
    file = tmp_path / ".env"
    file.write_text("OTHER=1\nSTALL_ALERT_URLS='json://file/${HOME}\njson://second'\n")
    assert load_alert_urls(file, {}).urls == ("json://file/${HOME}", "json://second")
    assert load_alert_urls(file, {"STALL_ALERT_URLS": "json://env"}).urls == ("json://env",)
    assert load_alert_urls(file, {"STALL_ALERT_URLS": ""}).urls == ()
    assert load_alert_urls(tmp_path / "none", {}).urls == ()


def test_unreadable_file_is_a_configuration_error(tmp_path: Path) -> None:
    file = tmp_path / ".env"
    file.write_bytes(b"STALL_ALERT_URLS=\xff\xfe\n")
    with pytest.raises(ConfigError, match=r"\.env: cannot be read"):
        load_alert_urls(file, {})
