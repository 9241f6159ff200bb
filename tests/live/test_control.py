"""The operator's commands over the daemon's socket, and their effects at the exchange."""

from __future__ import annotations

import asyncio
import re
import socket
from decimal import Decimal
from pathlib import Path

import pytest

from stall_then_strike.app.control import doorway
from stall_then_strike.app.control.reloading import Settings
from stall_then_strike.app.control.socket_client import NoRun, Told, ask
from stall_then_strike.app.shell.command import EXIT_DONE, EXIT_HALTED
from stall_then_strike.config.models import AppConfig
from stall_then_strike.types.dto import Reason
from stall_then_strike.types.errors import ConfigError
from tests.e2e.commands import csv_bytes
from tests.scenarios.at_work import CANCEL, PLACE, STILL, AtWork, at_work
from tests.scenarios.test_c_restart import with_a_position
from tests.signing import SIGNED
from tests.tapes.test_event_replay import event_logs, replayed

pytestmark = SIGNED


async def do(work: AtWork, verb: str, reason: str = "", **more: str) -> Told:
    return await ask(work.room.logs / "control.sock", "POST", verb, {"reason": reason, **more})


async def see(work: AtWork, what: str = "status") -> Told:
    return await ask(work.room.logs / "control.sock", "GET", what)


class Files:
    """The settings of a run, and what its files have become."""

    def __init__(self, cfg: AppConfig) -> None:
        self.cfg = cfg

    def change(self, section: str, **keys: object) -> None:
        part = getattr(self.cfg, section)
        self.cfg = self.cfg.model_copy(update={section: part.model_copy(update=keys)})

    def read(self) -> AppConfig:
        return self.cfg


async def test_commands_have_their_effect_at_the_exchange_and_are_replayed(tmp_path: Path) -> None:
    raw = tmp_path / "raw"
    async with at_work(tmp_path, begin=False, record={"enabled": True, "dir": str(raw)}, **STILL) as work:
        files = Files(work.room.cfg)
        work.room.settings = Settings(files.cfg, files.read)
        work.task = asyncio.create_task(work.room.run(ending=work.ending))
        await work.until("both quotes", lambda: len(work.resting) == 2)
        assert (await see(work)).content["snapshot"]["instruments"][0]["product"] == "FX_BTC_JPY"

        told = await do(work, "pause", "a test\r\nX-Who: root")
        assert told.text == "paused; 2 quotes are being taken back; exits go on"
        await work.until("empty book", lambda: not work.live)
        sent = len(work.calls(PLACE))
        await work.seconds(30)
        assert len(work.calls(PLACE)) == sent
        assert "PAUSED" in (await see(work)).text

        assert (await do(work, "resume")).text == "lifted: the pause"
        await work.until("both quotes", lambda: len(work.resting) == 2)
        cancels = len(work.calls(CANCEL))
        assert (await do(work, "cancel-all")).is_done
        await work.until("cancels", lambda: len(work.calls(CANCEL)) == cancels + 2)

        await with_a_position(work)
        assert (await do(work, "flatten")).is_done
        await work.until("flat account", lambda: not work.position and not work.live)
        await work.seconds(10)
        assert (work.position, work.live) == (0, [])
        assert (await do(work, "resume")).is_done

        files.change("strategy", size_min=Decimal("0.002"))
        files.change("record", queue_frames=30_000)
        shown = await see(work, "reload")
        assert shown.text.splitlines() == [
            "strategy.size_min: 0.001 -> 0.002 (at once)",
            "record.queue_frames: 20000 -> 30000 (needs a restart)",
        ]
        files.change("risk", max_rejects=11)
        assert not (await do(work, "reload", seen=shown.content["digest"])).is_done, "not what was shown"
        assert (await do(work, "reload", seen=(await see(work, "reload")).content["digest"])).is_done
        await work.until("larger quotes", lambda: {order.size for order in work.resting} == {200_000})
        assert (await see(work, "reload")).text == "record.queue_frames: 20000 -> 30000 (needs a restart)"

        assert (await do(work, "halt", "the end")).is_done
        assert await work.ended() == EXIT_HALTED
        await work.check()
        told_facts = [fact.detail for fact in work.facts("operator")]
        assert [detail.partition(":")[0] for detail in told_facts] == [
            "pause",
            "resume",
            "cancel_all",
            "flatten",
            "resume",
            "reload",
        ]
        assert told_facts[0] == "pause: by root over the socket: a test X-Who: root"
        assert "strategy.size_min: 0.001 -> 0.002" in told_facts[-1]
        assert "the end" in work.facts("halt")[0].detail
        assert not (work.room.logs / "control.sock").exists()
        again = replayed(event_logs(raw), tmp_path / "again")
        assert again == csv_bytes(work.room.logs)


async def test_settings_that_cannot_be_used_change_nothing(tmp_path: Path) -> None:
    def broken() -> AppConfig:
        raise ConfigError("base.yml:3: strategy.ttl_ms: 'x' is not accepted; accepted: a whole number")

    async with at_work(tmp_path, begin=False, **STILL) as work:
        work.room.settings = Settings(work.room.cfg, broken)
        await work.start()
        for told in (await see(work, "reload"), await do(work, "reload")):
            assert not told.is_done
            assert "nothing is changed: base.yml:3: strategy.ttl_ms" in told.text
        work.ending.reread.set()  # as by SIGHUP
        await work.until("quotes all the same", lambda: len(work.resting) == 2)
        assert (await do(work, "stop", "done")).text == "stopping in good order"
        assert await work.ended() == EXIT_DONE
        assert "stopped by root over the socket: done" in work.facts("stop")[0].detail
    with pytest.raises(NoRun):
        await see(work)


async def test_a_killed_run_is_paused_when_it_is_back(tmp_path: Path) -> None:
    async with at_work(tmp_path, **STILL) as work:
        await work.until("both quotes", lambda: len(work.resting) == 2)
        assert (await do(work, "flatten")).is_done
        await work.kill()
        (work.room.logs / "control.sock").touch()  # what a killed process leaves
        await work.start()
        assert work.core.shared.paused is Reason.FLATTEN
        await work.until("empty book", lambda: not work.live)
        assert (await do(work, "resume")).is_done
        await work.until("both quotes", lambda: len(work.resting) == 2)
        await work.stop_and_check()


async def test_attacks_on_the_socket_leave_trading_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Bodies and heads without end, silence, readers that do not read: quotes come and go as before."""
    monkeypatch.setattr(doorway, "LIFE_S", 1.0)
    async with at_work(tmp_path, strategy={"ttl_ms": 800}) as work:
        path = work.room.logs / "control.sock"
        await work.until("a strike", lambda: work.core.record.tally.placed)
        hostile = [
            b"POST /pause HTTP/1.1\r\nHost: x\r\nContent-Length: 100000000\r\n\r\n" + b"x" * 200_000,
            b"GET /status HTTP/1.1\r\nHost: x\r\nX: " + b"y" * 200_000 + b"\r\n\r\n",
            b"GET /" + b"z" * 200_000,
            b"POST /halt HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nno json!!",
            b"POST /../../pause HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n",
            b"GET /status HTTP/1.1\r\nHost: x\r\n",  # and then nothing
            b"",
            b"\x00\xff" * 50_000,
        ]
        attackers = [asyncio.create_task(assault(path, raw)) for raw in hostile * 3]
        await work.new_strikes(3)
        answers = b"".join(await asyncio.gather(*attackers))
        assert b" 413 " in answers
        assert b" 400 " in answers
        assert b" 200 " not in answers
        assert (await see(work)).is_done, "and the operator is heard again"
        assert work.core.halted is None
        assert work.core.shared.paused is None
        await work.new_strikes(1)
        await work.stop_and_check()


async def assault(path: Path, raw: bytes) -> bytes:
    """Send this, read little, and stay until sent away."""
    line = socket.socket(socket.AF_UNIX)
    line.setblocking(False)
    loop, found = asyncio.get_running_loop(), b""
    with line:
        while True:
            try:
                await loop.sock_connect(line, str(path))
                break
            except BlockingIOError:  # its queue is full
                await asyncio.sleep(0.05)
        try:
            async with asyncio.timeout(20):
                await loop.sock_sendall(line, raw)
                while more := await loop.sock_recv(line, 1000):
                    found += more
        except OSError:
            pass
    return found


async def test_figures_of_a_live_run(tmp_path: Path) -> None:
    port = socket.create_server(("127.0.0.1", 0))
    number = port.getsockname()[1]
    port.close()
    async with at_work(tmp_path, control={"metrics_port": number}, **STILL) as work:
        wanted = (
            r'^sts_orders{product="FX_BTC_JPY",state="working"} 2$',
            r"^sts_order_round_trip_seconds_count ([2-9]|\d{2,})$",
            r"^sts_account_settled 1$",
        )
        async with asyncio.timeout(30):
            text = ""
            while not all(re.search(line, text, re.MULTILINE) for line in wanted):
                await asyncio.sleep(0.1)
                text = await figures(number)
        await work.stop_and_check()


async def figures(port: int) -> str:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"GET /metrics HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
    text = (await reader.read()).decode()
    writer.close()
    return text


async def test_the_day_has_the_fills_of_all_its_runs_and_a_run_its_own(tmp_path: Path) -> None:
    async with at_work(tmp_path, **STILL) as work:
        await with_a_position(work)
        before = len(work.room.journal()[0])
        await work.kill()
        await work.start()
        await work.until("the run is seen", lambda: (work.room.logs / "control.sock").exists())
        told = await see(work)
        (one,) = told.content["snapshot"]["instruments"]
        own = one["counts"]["fills"]
        assert before > 0
        assert one["day"]["fills"] == own + before
        assert told.content["snapshot"]["day"]["fills"] == one["day"]["fills"]
        await work.stop_and_check()
