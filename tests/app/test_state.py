"""The command ``state``: show, resume, export, and refusals."""

from __future__ import annotations

import csv
import io
import json
import os
from pathlib import Path
from typing import Any

import pytest

from stall_then_strike.app.state import main
from stall_then_strike.config.models import AppConfig, JournalConfig
from stall_then_strike.infra.journal.halt import resumed
from stall_then_strike.infra.journal.reader import JournalReader
from stall_then_strike.infra.journal.writer import Journal
from stall_then_strike.infra.logs.run_folder import RunFolder
from stall_then_strike.types.dto import Fact, OrderId, Reason, Side
from stall_then_strike.types.instrument import Lots, Ticks
from tests.infra.journal.journal_rig import (
    ACCOUNT,
    TS,
    changes,
    ended,
    fact,
    fill,
    inventory,
    memo,
    open_in,
    order,
    path_in,
)

DETAIL = "day's result -31,234 JPY is at its limit of -30,000 JPY"
HALTED = memo(
    halted=Reason.KILL_PNL,
    halt_ns=TS,
    halt_detail=DETAIL,
    inventory=inventory(position=-12_345_678, basis=-12_345_678 * 13_600_000, mid2=27_160_000),
)


@pytest.fixture(autouse=True)
def _own_locks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setenv("COLUMNS", "80")


def filled(folder: Path) -> Journal:
    """An open journal, as after a halted day."""
    journal = open_in(folder, locks=None)
    working = order("k1-9s", side=Side.SELL, order_id=OrderId("JRF-9"), executed=Lots(40_000), state="partial")
    journal.record(
        changes(
            orders=(
                ended(
                    "k1-1b", order_id=OrderId("JRF-1"), cancel_reason=Reason.TTL, cancel_sent_ns=TS, registered_ns=TS
                ),
                working,
                order("k1-10c", price=None, state="unknown", tag="close"),
            ),
            fills=tuple(fill(n, ts_ns=TS + n * 10**9, price=Ticks(13_600_000 + n)) for n in range(1, 13)),
            facts=(fact("send", name="k1-1b"), Fact(ts_ns=TS, what="report", detail='two "lines"\nof text')),
            memo=HALTED,
        )
    )
    return journal


def run(folder: Path, *arguments: str | Path) -> int:
    return main([*map(str, arguments), "--set", f"journal.dir={path_in(folder).parent}"])


def shown(folder: Path, capsys: pytest.CaptureFixture[str]) -> Any:
    capsys.readouterr()
    assert run(folder, "show", "--json") == 0
    return json.loads(capsys.readouterr().out)


# --- show -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("command", [(), ("show",)])
def test_show_fits_80_columns_and_says_what_matters(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], command: tuple[str, ...]
) -> None:
    filled(tmp_path).close()
    assert run(tmp_path, *command) == 0
    out = capsys.readouterr().out
    folded = " ".join(out.split())
    assert max(map(len, out.splitlines())) <= 80
    assert "HALTED: kill_pnl since 11-21 07:30:13.123" in folded
    assert DETAIL in folded
    assert "running no" in folded
    assert "trading day 2026-11-21" in folded
    assert "position -0.12345678 BTC at 13,600,000" in folded
    assert "11-21 07:30:13.123 SELL 0.001 0.0006 13,600,000 partial stall" in folded
    assert "market unknown close" in folded
    assert "last fills (10 of 12 in the journal)" in folded
    assert "13,600,012" in folded
    assert "13,600,002" not in folded, "the newest ten"
    assert f"FX_BTC_JPY, account {ACCOUNT}, version 3" in folded
    assert "3 orders, 12 fills, 2 facts" in folded


def test_show_works_while_a_process_trades_and_names_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with filled(tmp_path):
        assert run(tmp_path) == 0
        assert f"running      process {os.getpid()}" in capsys.readouterr().out
        told = shown(tmp_path, capsys)
    assert told["journal"]["running"] is True
    assert told["journal"]["held_by"] == f"process {os.getpid()}"


def test_json_has_the_units_of_the_logs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    filled(tmp_path).close()
    told = shown(tmp_path, capsys)
    assert told["halt"] == {"reason": "kill_pnl", "ts": "2026-11-21T07:30:13.123456Z", "detail": DETAIL}
    day = told["day"]
    # 5,000,000,000 units realised, short 0.12345678 BTC at 13,600,000, marked at 13,580,000.
    assert (day["position_btc"], day["avg_price"], day["realised_jpy"]) == ("-0.12345678", "13600000", "40")
    assert day["pnl_jpy"] == "2509.1356"
    assert [o["client_order_id"] for o in told["live_orders"]] == ["k1-9s", "k1-10c"]
    assert told["live_orders"][0]["remaining"] == "0.0006"
    assert told["live_orders"][1]["price"] is None
    assert [f["exec_id"] for f in told["last_fills"]] == list(range(3, 13))
    assert told["journal"]["running"] is False


def test_trading_day_that_is_over_is_called_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with open_in(tmp_path, locks=None) as journal:
        journal.record(changes(memo=memo(day="2020-01-01")))
    assert run(tmp_path) == 0
    assert "2020-01-01 (over)" in capsys.readouterr().out


def test_journal_without_a_memory_yet(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    open_in(tmp_path, locks=None).close()
    assert run(tmp_path) == 0
    out = capsys.readouterr().out
    assert "not halted" in out
    assert "nothing remembered yet" in out
    assert "live orders: none" in out
    told = shown(tmp_path, capsys)
    assert told["halt"] is None
    assert told["day"] is None


@pytest.mark.parametrize("command", [("show",), ("show", "--json"), ("resume", "--yes"), ("export", "out")])
def test_without_a_journal_there_is_a_clear_word(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], command: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    base = Path("configs").absolute()
    monkeypatch.chdir(tmp_path)
    assert run(tmp_path, *command, "--base", base / "base.yml", "--config", base / "live.yml") == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err == f"state: {path_in(tmp_path)}: no journal yet; it is made when trading starts\n"
    assert list(tmp_path.iterdir()) == []


# --- resume -----------------------------------------------------------------------------------------------------------


def test_resume_lifts_the_halt_and_keeps_the_reason(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    filled(tmp_path).close()
    assert run(tmp_path, "resume", "--yes", "--reason", "looked\n at  it") == 0
    assert "lifted: kill_pnl of 2026-11-21T07:30:13Z" in capsys.readouterr().out
    with JournalReader.open(path_in(tmp_path)) as reader:
        assert reader.memo() == resumed(AppConfig(), HALTED)
        assert [f.detail for f in reader.facts() if f.what == "resume"] == ["after kill_pnl: looked at it"]
    assert shown(tmp_path, capsys)["day"]["since_resume_jpy"] == "0"
    assert run(tmp_path, "resume", "--yes") == 0
    assert capsys.readouterr().out == "not halted: nothing to lift\n"


@pytest.mark.parametrize("how", [Reason.PAUSED, Reason.FLATTEN])
def test_a_pause_is_shown_and_outlives_the_halt(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], how: Reason
) -> None:
    with open_in(tmp_path, locks=None) as journal:
        journal.record(changes(memo=HALTED._replace(paused=how)))
    assert run(tmp_path, "resume", "--yes") == 0
    assert "The next start is still paused: `ctl resume` ends that" in capsys.readouterr().out
    assert shown(tmp_path, capsys)["paused"] is True
    assert run(tmp_path) == 0
    assert "PAUSED by the operator; `ctl resume` in a run ends that" in " ".join(capsys.readouterr().out.split())


def test_resume_by_other_settings_names_those_of_the_last_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """`state` shows a halt of a run with settings of its own, and `resume` said that there was no journal."""
    base, folder = Path("configs").absolute(), tmp_path / "journal"
    monkeypatch.chdir(tmp_path)
    filled(tmp_path).close()
    theirs = ("--base", base / "base.yml", "--set", f"journal.dir={folder}", "--set", "ws.channels=[]")
    cfg = AppConfig(env="live", journal=JournalConfig(dir=str(folder)))
    with RunFolder(Path("logs"), cfg, "live", "https://v", journal=path_in(tmp_path)) as run_folder:
        pass
    assert main(["resume", "--yes", *map(str, theirs), "--set", "exchange.product_code=ETH_JPY"]) == 2
    settings = run_folder.files.settings
    assert f"has {path_in(tmp_path)}; accepted: its settings, --config {settings}" in capsys.readouterr().err
    assert main(["resume", "--yes", *map(str, theirs[:2]), "--config", str(settings)]) == 0


def test_resume_without_a_terminal_needs_yes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    filled(tmp_path).close()
    monkeypatch.setattr("sys.stdin", io.StringIO("y\n"))
    assert run(tmp_path, "resume") == 2
    assert capsys.readouterr().err == "state: there is no terminal to ask on; lift the halt with --yes\n"
    assert shown(tmp_path, capsys)["halt"] is not None


def test_resume_is_refused_while_a_process_trades(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with filled(tmp_path):
        assert run(tmp_path, "resume", "--yes") == 1
        assert f"is in use by process {os.getpid()}; stop it first" in capsys.readouterr().err
        assert shown(tmp_path, capsys)["halt"] is not None


# --- export -----------------------------------------------------------------------------------------------------------


def table(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_export_writes_the_units_of_the_logs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    filled(tmp_path).close()
    folder = tmp_path / "deep" / "out"
    for _ in range(2):  # the second in place of the first
        assert run(tmp_path, "export", folder) == 0
    assert f"{folder / 'fills.csv'}: 12 rows" in capsys.readouterr().out
    assert sorted(path.name for path in folder.iterdir()) == ["facts.csv", "fills.csv", "orders.csv"]
    orders = {row["client_order_id"]: row for row in table(folder / "orders.csv")}
    assert orders["k1-1b"] == {
        "sent": "2026-11-21T07:30:13.123456Z",
        "client_order_id": "k1-1b",
        "order_id": "JRF-1",
        "side": "BUY",
        "price": "13600000",
        "size": "0.001",
        "executed": "0",
        "tif": "GTC",
        "ttl_ms": "800",
        "tag": "stall",
        "reason": "strike",
        "state": "cancelled",
        "registered": "2026-11-21T07:30:13.123456Z",
        "cancel_reason": "ttl",
        "cancel_sent": "2026-11-21T07:30:13.123456Z",
    }
    assert orders["k1-9s"]["executed"] == "0.0004"
    assert (orders["k1-10c"]["price"], orders["k1-10c"]["order_id"]) == ("", "")
    first = table(folder / "fills.csv")[0]
    assert (first["exec_id"], first["price"], first["pnl_jpy"]) == ("1", "13600001", "-12.345678")
    assert [row["detail"] for row in table(folder / "facts.csv")] == ["in words", 'two "lines" of text']


def test_export_works_while_a_process_trades(tmp_path: Path) -> None:
    with filled(tmp_path):
        assert run(tmp_path, "export", tmp_path / "out") == 0


def test_export_to_where_nothing_can_be_written_is_an_error_by_name(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    filled(tmp_path).close()
    (tmp_path / "out").write_text("a file is in the way")
    assert run(tmp_path, "export", tmp_path / "out") == 1
    assert capsys.readouterr().err == f"state: {tmp_path / 'out'} cannot be written: File exists\n"


# --- arguments --------------------------------------------------------------------------------------------------------


def test_flags_may_stand_between_command_and_folder(tmp_path: Path) -> None:
    filled(tmp_path).close()
    assert main(["export", "--set", f"journal.dir={path_in(tmp_path).parent}", str(tmp_path / "out")]) == 0


@pytest.mark.parametrize(("folder", "said"), [("absent", "absent: no such folder"), (".", ": no runs")])
def test_log_folder_without_a_run_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], folder: str, said: str
) -> None:
    assert main(["--log-dir", str(tmp_path / folder)]) == 2
    assert said in capsys.readouterr().err
