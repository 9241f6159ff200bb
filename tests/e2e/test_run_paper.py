"""``run_paper`` as its user knows it: exit codes, words, files."""

from __future__ import annotations

import os
import pty
import signal
import threading
import time
from itertools import pairwise
from pathlib import Path

import pytest

from stall_then_strike.config.loader import load_app_config
from stall_then_strike.infra.logs.run_list import RunList
from tests.e2e.commands import (
    REPO,
    app_log,
    csv_bytes,
    dead_port,
    free_port,
    newest,
    read_line,
    rows,
    run,
    running,
    start,
    wait_until,
)
from tests.shared_data import real_tape_path


def assert_every_order_ended(log_dir: Path) -> None:
    """Each accepted order was cancelled, expired or filled to its last lot."""
    orders = rows(log_dir, "orders")
    ended = {row["order_id"] for row in orders if row["action"] in ("cancel", "expire")}
    filled: dict[str, float] = {}
    for trade in rows(log_dir, "trades"):
        filled[trade["order_id"]] = filled.get(trade["order_id"], 0) + float(trade["size"])
    for row in orders:
        if row["action"] == "place" and row["order_id"] not in ended:
            assert filled.get(row["order_id"], 0) == pytest.approx(float(row["size"])), row


def test_real_tape_twice_gives_the_same_bytes_and_many_strikes_and_another_seed_other_latencies(tmp_path: Path) -> None:
    for name, seed in (("a", "3"), ("b", "3"), ("c", "4")):
        ended = run("run_paper", "--tape", real_tape_path(), "--seed", seed, "--log-dir", tmp_path / name)
        assert ended.returncode == 0
        assert "218 of 219" in ended.stdout, "the mid check of its description"
        assert "end of tape" in ended.stdout
    assert csv_bytes(tmp_path / "a") == csv_bytes(tmp_path / "b") != csv_bytes(tmp_path / "c")
    assert len(csv_bytes(tmp_path / "a")) == 3
    decisions = rows(tmp_path / "a", "decisions")
    assert sum(row["decision_type"] == "strike" for row in decisions) >= 20
    assert rows(tmp_path / "a", "trades")
    assert_every_order_ended(tmp_path / "a")


def test_simulated_market_in_virtual_time_is_reproducible(tmp_path: Path) -> None:
    for name in ("a", "b"):
        ended = run(
            "run_paper", "--sim", "--speed", "max", "--seed", "5", "--duration", "120", "--log-dir", tmp_path / name
        )
        assert ended.returncode == 0, ended.stderr
    assert csv_bytes(tmp_path / "a") == csv_bytes(tmp_path / "b")
    assert rows(tmp_path / "a", "trades")


def test_f10_panel_attached_or_detached_changes_nothing(tmp_path: Path) -> None:
    """On a terminal and at a pace there is a panel; in a pipe and as fast as possible there is none."""
    tape = real_tape_path()
    assert run("run_paper", "--tape", tape, "--log-dir", tmp_path / "pipe").returncode == 0
    ours, theirs = pty.openpty()
    drawn = bytearray()

    def read_all() -> None:
        try:
            while part := os.read(ours, 65_536):
                drawn.extend(part)
        except OSError:
            return  # the other end is closed

    reader = threading.Thread(target=read_all)
    process = start("run_paper", "--tape", tape, "--speed", "10", "--log-dir", tmp_path / "tty", stdout=theirs)
    reader.start()
    _, err = process.communicate(timeout=60)
    os.close(theirs)
    reader.join()
    os.close(ours)
    assert process.returncode == 0, err
    assert b"working orders" in drawn
    assert csv_bytes(tmp_path / "pipe") == csv_bytes(tmp_path / "tty")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_signal_stops_in_good_order(number: signal.Signals, tmp_path: Path) -> None:
    with running("run_paper", "--sim", "--speed", "5", "--log-dir", tmp_path) as process:
        wait_until("a strike", lambda: any(row["decision_type"] == "strike" for row in rows(tmp_path, "decisions")))
        process.send_signal(number)
        out, err = process.communicate(timeout=30)
    assert process.returncode == 0, err
    assert number.name in out
    assert_every_order_ended(tmp_path)


def test_second_signal_while_the_logs_are_closed_changes_nothing(tmp_path: Path) -> None:
    with running("run_paper", "--sim", "--speed", "5", "--log-dir", tmp_path) as process:
        wait_until("a strike", lambda: any(row["decision_type"] == "strike" for row in rows(tmp_path, "decisions")))
        for _ in range(40):
            process.send_signal(signal.SIGTERM)
            process.send_signal(signal.SIGINT)
            if process.poll() is not None:
                break
            time.sleep(0.01)
        out, err = process.communicate(timeout=30)
    assert process.returncode == 0, err
    assert "strikes" in out


def test_two_runs_at_a_time_have_folders_of_their_own(tmp_path: Path) -> None:
    with running("run_paper", "--sim", "--log-dir", tmp_path) as first:
        wait_until("the first run", lambda: (tmp_path / "latest").exists())
        second = run("run_paper", "--sim", "--speed", "max", "--duration", "10", "--log-dir", tmp_path)
        assert second.returncode == 0, second.stderr
        assert [each.is_running for each in RunList(tmp_path).all] == [True, False]
        assert (tmp_path / "latest").readlink() == Path(RunList(tmp_path).all[-1].name)
        first.kill()
        first.wait(timeout=30)
    assert [each.how_it_ended for each in RunList(tmp_path).all] == ["killed", "duration over"]


def test_order_ids_of_two_runs_in_one_log_folder_differ(tmp_path: Path) -> None:
    tape = real_tape_path()
    shifted = tmp_path / "later.jsonl"
    lines = tape.read_text().splitlines()
    stamps = [line.split(",", 1) for line in lines]
    shifted.write_text("".join(f'{{"recv_ns":{int(a.split(":")[1]) + 60 * 10**9},{b}\n' for a, b in stamps))
    for path in (tape, shifted):
        assert run("run_paper", "--tape", path, "--log-dir", tmp_path / "logs").returncode == 0
    placed = [row["order_id"] for row in rows(tmp_path / "logs", "orders") if row["action"] == "place"]
    assert len(placed) > 100
    assert len(set(placed)) == len(placed)


TAPE_LINE = '{"recv_ns":%d,"msg":{"jsonrpc":"2.0","method":"channelMessage","params":{"channel":"%s","message":{}}}}\n'


@pytest.mark.parametrize(
    ("content", "words"),
    [
        pytest.param("", "no board snapshot of FX_BTC_JPY in 0 messages", id="empty"),
        pytest.param("\x00\x01\x02\n" * 3, "tape.jsonl:1", id="binary"),
        pytest.param(
            TAPE_LINE % (10**18, "lightning_ticker_FX_BTC_JPY")
            + TAPE_LINE % (8 * 10**18, "lightning_ticker_FX_BTC_JPY"),
            "days after the one before",
            id="absurd stamp",
        ),
    ],
)
def test_tape_that_cannot_be_traded_is_an_error(content: str, words: str, tmp_path: Path) -> None:
    tape = tmp_path / "tape.jsonl"
    tape.write_text(content)
    ended = run("run_paper", "--tape", tape, "--log-dir", tmp_path / "logs")
    assert ended.returncode == 1
    assert words in ended.stderr
    assert "Traceback" not in ended.stderr


def test_tape_of_another_product_is_refused_with_what_to_set(tmp_path: Path) -> None:
    tape = tmp_path / "tape.jsonl"
    tape.write_text(TAPE_LINE % (10**18, "lightning_board_BTC_JPY"))
    ended = run("run_paper", "--tape", tape, "--log-dir", tmp_path / "logs")
    assert ended.returncode == 2
    assert "BTC_JPY" in ended.stderr
    assert "--set exchange.product_code=BTC_JPY" in ended.stderr


def test_kill_switch_flattens_and_exits_with_3(tmp_path: Path) -> None:
    ended = run("run_paper", "--tape", real_tape_path(), "--set", "risk.daily_pnl_jpy=-2", "--log-dir", tmp_path)
    assert ended.returncode == 3
    assert "halted: kill_pnl" in ended.stdout
    decisions = rows(tmp_path, "decisions")
    halt = next(number for number, row in enumerate(decisions) if row["decision_type"] == "halt")
    assert decisions[halt]["reason"] == "kill_pnl"
    assert all(row["decision_type"] != "strike" for row in decisions[halt:])
    assert rows(tmp_path, "trades")[-1]["inventory_after"] == "0"
    assert "HALT kill_pnl" in app_log(tmp_path)


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--set", "strategy.ttl_ms=-5"], ["--set", "strategy.ttl_ms", "-5"]),
        (["--set", "strategy.tttl_ms=5"], ["strategy.tttl_ms", "ttl_ms"]),
        (["--config", "nowhere.yml"], ["nowhere.yml"]),
        (["--tape", "nowhere.jsonl"], ["nowhere.jsonl"]),
        (["--speed", "5"], ["--speed", "--sim"]),
        (["--sim", "--speed", "0"], ["--speed", "max"]),
        (["--sim", "--speed", "101"], ["--speed", "100", "max"]),
        (["--config", "configs/live.yml"], ["env", "live", "paper"]),
        (["--tape", "configs"], ["--tape configs", "not a file"]),
        (["--base", "nowhere/base.yml"], ["nowhere/base.yml", "no --base for the package's own"]),
        (["--sim", "--speed", "max"], ["--duration"]),
        (["--sim", "--tape", "x"], ["not allowed with"]),
        (["--duration", "-1"], ["--duration", "above 0"]),
    ],
)
def test_bad_input_is_named_and_ends_with_2_before_anything_is_written(
    flags: list[str], words: list[str], tmp_path: Path
) -> None:
    ended = run("run_paper", *flags, "--log-dir", tmp_path / "logs")
    assert ended.returncode == 2
    for word in words:
        assert word in ended.stderr
    assert "Traceback" not in ended.stderr
    assert not (tmp_path / "logs").exists()


def test_check_prints_a_configuration_that_reads_back(tmp_path: Path) -> None:
    ended = run("run_paper", "--check", "--set", "strategy.ttl_ms=500")
    assert ended.returncode == 0
    copy = tmp_path / "effective.yml"
    copy.write_text(ended.stdout)
    expected = load_app_config(REPO / "configs/base.yml", REPO / "configs/paper.yml", ["strategy.ttl_ms=500"])
    assert load_app_config(copy) == expected


def test_unreachable_venue_names_the_way_out_and_exits_with_1(tmp_path: Path) -> None:
    dead = dead_port()
    ended = run(
        "run_paper",
        *("--set", f"exchange.ws_url=ws://127.0.0.1:{dead}/json-rpc"),
        *("--set", f"exchange.base_url=http://127.0.0.1:{dead}"),
        *("--set", "ws.connect_timeout_sec=2"),
        *("--log-dir", tmp_path),
    )
    assert ended.returncode == 1
    assert f"127.0.0.1:{dead}" in ended.stderr
    assert "--sim" in ended.stderr
    assert "Traceback" not in ended.stderr


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs the full device of Linux")
def test_f6_full_disk_stops_quoting_and_exits_with_3(tmp_path: Path) -> None:
    """The orders file is on a full disk from the first row on."""
    with running("run_paper", "--tape", real_tape_path(), "--speed", "1", "--log-dir", tmp_path) as process:
        wait_until("the run's folder", lambda: RunList(tmp_path).all)
        (newest(tmp_path) / "orders").mkdir(exist_ok=True)
        (newest(tmp_path) / "orders" / "orders-20211212.csv").symlink_to("/dev/full")
        out, err = process.communicate(timeout=60)
    assert process.returncode == 3, err
    assert "log_failure" in out
    assert "No space left" in app_log(tmp_path)
    decisions = rows(tmp_path, "decisions")
    halt = next(number for number, row in enumerate(decisions) if row["decision_type"] == "halt")
    assert all(row["decision_type"] != "strike" for row in decisions[halt:])


def test_f7_log_folder_that_cannot_be_written_is_an_error_by_name(tmp_path: Path) -> None:
    (tmp_path / "logs").write_text("a file where the folder should be")
    ended = run("run_paper", "--sim", "--duration", "5", "--log-dir", tmp_path / "logs")
    assert ended.returncode == 1
    assert str(tmp_path / "logs") in ended.stderr
    assert "Traceback" not in ended.stderr


def test_exchange_killed_and_started_again_under_a_running_daemon(tmp_path: Path) -> None:
    """No decision on the old book: from the drop to the first snapshot it is unknown, then quoting resumes."""
    port = free_port()
    exchange = ("sim_exchange", "--port", str(port), "--seed", "7", "--maintenance", "off")

    def decisions() -> list[dict[str, str]]:
        return rows(tmp_path, "decisions")

    def strikes() -> int:
        return sum(row["decision_type"] == "strike" for row in decisions())

    with running(*exchange) as first:
        read_line(first, "ready")
        with running(
            "run_paper",
            *("--config", "configs/sim.yml"),
            *("--set", f"exchange.ws_url=ws://127.0.0.1:{port}/json-rpc"),
            *("--set", f"exchange.base_url=http://127.0.0.1:{port}"),
            *("--set", "ws.reconnect_min_sec=0.5"),
            *("--log-dir", tmp_path),
        ) as daemon:
            wait_until("a strike", strikes)
            first.kill()
            wait_until("the drop", lambda: decisions()[-1]["reason"] == "book_unknown")
            before = strikes()
            with running(*exchange) as second:
                read_line(second, "ready")
                wait_until("a new strike", lambda: strikes() > before)
                daemon.send_signal(signal.SIGTERM)
                out, err = daemon.communicate(timeout=30)
    assert daemon.returncode == 0, err
    assert "reconnects" in out
    unknown = [row["reason"] == "book_unknown" and row["decision_type"] == "hold" for row in decisions()]
    drop = max(number for number, is_unknown in enumerate(unknown) if is_unknown)
    after = decisions()[drop:]
    first_strike = next(row for row in after if row["decision_type"] == "strike")
    assert int(first_strike["best_age_ms"]) >= 250
    resumed = next(following for row, following in pairwise(after) if row["reason"] == "book_unknown")
    assert resumed["reason"] == "stall_immature", "the first believed book is a new one"
    assert int(resumed["best_age_ms"]) < 50
    assert_every_order_ended(tmp_path)
