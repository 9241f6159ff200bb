"""``alert_test`` against webhooks on loopback."""

from __future__ import annotations

import asyncio

import pytest

from stall_then_strike.app.alert_test import main
from stall_then_strike.app.trader.live_alerts import LiveAlerts
from stall_then_strike.infra.watch.alerts import URLS_VARIABLE, AlertKind
from stall_then_strike.types.dto import Fact
from tests.infra.watch.alert_sink import SECRET, serving

pytest.importorskip("apprise")


async def test_each_address_is_tried_and_none_is_shown(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    async with serving() as good, serving() as bad:
        bad.status = 500
        monkeypatch.setenv(URLS_VARIABLE, f"{good.url} {bad.url}")
        assert await asyncio.to_thread(main, []) == 1
        assert "test" in good.got[0]["title"]
    said = capsys.readouterr()
    assert said.out == "1 json://***: delivered\n2 json://***: NOT delivered\n"
    assert SECRET not in said.out + said.err


def test_without_addresses_it_says_so(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv(URLS_VARIABLE, "")
    assert main([]) == 2
    assert "is not set; accepted: apprise URLs" in capsys.readouterr().err


def test_digest_of_the_day() -> None:
    sent: list[tuple[AlertKind, str]] = []
    days: list[tuple[str, str]] = []
    alerts = LiveAlerts(
        lambda kind, title, text: sent.append((kind, text)), 30, lambda day, text: days.append((day, text))
    )
    for what in ("fill", "fill", "halt", "day", "day"):
        alerts.on_fact(Fact(ts_ns=0, what=what, detail="2026-11-30 ended"))
    alerts.on_fact(Fact(ts_ns=0, what="fill"), "ETH_JPY")
    alerts.on_fact(Fact(ts_ns=0, what="day", detail="2026-12-01 ended"), "ETH_JPY")
    assert [kind for kind, _ in sent] == [AlertKind.HALT]
    assert days == [
        ("2026-11-30", "2026-11-30 ended, fills 2, halts 1"),
        ("2026-11-30", "2026-11-30 ended, fills 0, halts 0"),
        ("2026-12-01", "ETH_JPY: 2026-12-01 ended, fills 1, halts 0"),
    ]
