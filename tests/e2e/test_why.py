"""``why`` on what real runs leave behind: a live one on the embedded exchange, up to its halt, and one on paper."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from stall_then_strike.infra.journal.reader import JournalReader
from stall_then_strike.infra.journal.writer import journal_path
from stall_then_strike.types.text import utc_iso
from tests.e2e.commands import TIMEOUT_S, newest, rows
from tests.e2e.forked import forked

Answer = tuple[int, dict[str, Any]]
Ask = Callable[..., Answer]


def command(module: str, *args: str | Path) -> subprocess.CompletedProcess[str]:
    return forked(module, *args, timeout=TIMEOUT_S)


def asker(log_dir: Path) -> Ask:
    def ask(asked: str, *more: str) -> Answer:
        done = command("why", asked, "--log-dir", log_dir, "--json", *more)
        assert done.stderr == ""
        return done.returncode, json.loads(done.stdout)

    return ask


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The logs of a run that halted at a tiny loss."""
    log_dir = tmp_path_factory.mktemp("live")
    keys = ("sim.speed=10", "risk.daily_pnl_jpy=-3", "strategy.max_reverse_ticks=300")
    sets = [text for key in keys for text in ("--set", key)]
    done = command("run_live", "--yes", "--duration", "300", "--config", "configs/sim.yml", *sets, "--log-dir", log_dir)
    assert done.returncode == 3, f"halted: {done.stdout[-2000:]}{done.stderr}"
    return log_dir


@pytest.mark.slow
def test_orders_of_a_live_run(live: Path) -> None:
    ask = asker(live)
    with JournalReader.open(journal_path(newest(live) / "journal", "FX_BTC_JPY")) as reader:
        orders, fills = list(reader.orders()), list(reader.fills())
    filled = next(order for order in orders if order.state == "filled" and order.tag == "stall")
    cancelled = next(order for order in orders if order.state == "cancelled")

    code, told = ask(filled.client_order_id)
    (life,) = told["orders"]
    assert (code, life["end"], life["executed"]) == (0, "filled", "0.001")
    whats = [line["what"] for line in told["timeline"] if line["order"] == filled.client_order_id]
    assert whats[0] == "send"
    assert {"answer", "book", "fill"} <= set(whats)
    assert "was filled completely by" in told["verdict"]
    own = next(fill for fill in fills if fill.client_order_id == filled.client_order_id)
    by_execution = ask(str(own.exec_id))[1]
    assert by_execution["orders"] == told["orders"]

    code, told = ask(str(cancelled.order_id))
    (life,) = told["orders"]
    assert (code, life["end"], life["executed"]) == (0, "cancelled", "0")
    assert None not in (life["sent"], life["answered"], life["cancel_sent"], life["ended"])
    assert "and was never filled" in told["verdict"]

    code, told = ask("JRF19700101-000000-000000")
    assert (code, told["found"]) == (1, False)
    assert str(live) in told["verdict"]


@pytest.mark.slow
def test_moments_of_a_live_run(live: Path) -> None:
    ask = asker(live)
    decisions = rows(live, "decisions")
    index = next(i for i, row in enumerate(decisions) if row["reason"] == "stall_immature")
    held, following = decisions[index], decisions[index + 1]
    code, told = ask(held["ts"])
    assert code == 0
    assert "nothing was quoted: the best prices have not stood still for long enough" in told["verdict"]
    hold = next(hold for hold in told["holds"] if hold["from"] == held["ts"])
    assert (hold["reason"], hold["until"]) == ("stall_immature", following["ts"])

    halt = next(row for row in decisions if row["decision_type"] == "halt")
    code, told = ask(halt["ts"], "--window", "2")
    assert code == 0
    assert [line["text"] for line in told["timeline"] if line["what"] == "HALT"] == [
        "The day's result reached its limit (kill_pnl)"
    ]
    halted = next(row for row in decisions if row["reason"] == "halted" and row["decision_type"] == "hold")
    told = ask(halted["ts"])[1]
    assert f"Trading had halted at {halt['ts'][:23]}Z" in told["verdict"]
    assert "reached its limit of -3 JPY (kill_pnl)" in told["verdict"]


@pytest.mark.slow
def test_the_text_has_80_columns_and_no_colours(live: Path) -> None:
    with JournalReader.open(journal_path(newest(live) / "journal", "FX_BTC_JPY")) as reader:
        halted_ns = reader.memo().halt_ns  # type: ignore[union-attr] - it halted
    done = command("why", utc_iso(halted_ns), "--log-dir", live)
    assert (done.returncode, done.stderr) == (0, "")
    assert max(map(len, done.stdout.splitlines())) <= 80
    assert "\x1b" not in done.stdout
    assert "Time line" in done.stdout


@pytest.mark.slow
def test_a_paper_run_and_its_cut_line(tmp_path: Path) -> None:
    done = command("run_paper", "--sim", "--speed", "max", "--duration", "120", "--seed", "7", "--log-dir", tmp_path)
    assert done.returncode == 0, done.stderr
    ask = asker(tmp_path)
    trade = rows(tmp_path, "trades")[0]
    code, told = ask(trade["order_id"])
    assert code == 0
    assert told["orders"][0]["source"] == "journal"
    assert told["orders"][0]["registered"] is not None
    assert told["fills"][0]["pnl_jpy"] == trade["pnl_jpy"]

    (path,) = (newest(tmp_path) / "decisions").glob("*.csv")
    path.write_bytes(path.read_bytes()[:-5])
    code, told = ask(trade["ts"])
    assert code == 0
    assert any("the last line is unfinished" in note for note in told["notes"])
