"""The alert at the day roll of the real command: the day's figures, and the report on it as a file."""

from __future__ import annotations

import asyncio
import base64
import signal
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from stall_then_strike.infra.clock import SystemClock
from stall_then_strike.infra.watch.alerts import URLS_VARIABLE
from stall_then_strike.types.dto import NS_PER_S
from tests.e2e.commands import REPO, newest
from tests.e2e.forked import Forked
from tests.e2e.live_process import environment
from tests.infra.watch.alert_sink import Sink, serving

pytest.importorskip("apprise")
SPEED = 20


async def digest(sink: Sink) -> Any:
    async with asyncio.timeout(120):
        while True:
            alert = await sink.arrived.get()
            if "trading day" in alert["title"]:
                return alert


@pytest.mark.slow(seconds=30)
@pytest.mark.parametrize("has_research", [True, False])
async def test_day_roll_sends_a_digest_with_its_report(has_research: bool, tmp_path: Path) -> None:
    """Without the extra research it says so instead."""
    pytest.importorskip("polars")
    roll = datetime.fromtimestamp(SystemClock().now_ns() / NS_PER_S, UTC) + timedelta(minutes=5)
    sets = [f"session.day_start={roll:%H:%M}", "session.timezone=UTC", "session.quiet=[]", f"sim.speed={SPEED}"]
    flags = ["--base", str(REPO / "configs/base.yml"), "--config", str(REPO / "configs/sim.yml"), "--yes"]
    flags += [word for one in sets for word in ("--set", one)]
    async with serving() as sink:
        env = environment(tmp_path, None) | {URLS_VARIABLE: sink.url}
        if not has_research:
            (tmp_path / "without").mkdir()
            (tmp_path / "without" / "polars.py").write_text("raise ModuleNotFoundError(name='polars')\n")
            env["PYTHONPATH"] = f"{tmp_path / 'without'}:{env['PYTHONPATH']}"
        daemon = Forked("run_live", *flags, cwd=tmp_path, env=env)
        try:
            alert = await digest(sink)
        finally:
            daemon.send_signal(signal.SIGTERM)
            out, err = await asyncio.to_thread(daemon.communicate, timeout=60)
        assert daemon.wait() == 0, out + err
        day = f"{roll - timedelta(days=1):%Y-%m-%d}"
        assert alert["message"].startswith(f"{day} ended with ")
        assert "deepest drawdown" in alert["message"]
        assert "fills " in alert["message"]
        assert "halts 0" in alert["message"]
        if has_research:
            (file,) = alert["attachments"]
            assert file["filename"] == f"{day}.html"
            assert (
                base64.b64decode(file["base64"]) == (newest(tmp_path / "logs") / "reports" / f"{day}.html").read_bytes()
            )
            assert b"</html>" in base64.b64decode(file["base64"])
        else:
            assert not alert["attachments"]
            assert "(no report: report: needs polars from the extra research" in alert["message"]
