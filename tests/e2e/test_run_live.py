"""``run_live`` as its user knows it: words, exit codes, files, signals, and what the exchange received."""

from __future__ import annotations

import asyncio
import os
import pty
import signal
import subprocess
from collections import Counter
from contextlib import suppress
from decimal import Decimal
from pathlib import Path

import pytest

from stall_then_strike.infra.bitflyer.credentials import Credentials
from stall_then_strike.infra.journal.reader import JournalReader
from stall_then_strike.infra.journal.writer import journal_path
from stall_then_strike.sim.bitflyer.keys import PERMISSIONS, ApiKey
from stall_then_strike.sim.bitflyer.tickets import Refusal
from stall_then_strike.sim.faults.kinds import Fault, FaultKind
from stall_then_strike.types.dto import BoardState
from tests.e2e.commands import REPO, TIMEOUT_S, UNLAGGING, dead_port, newest, rows
from tests.e2e.forked import forked
from tests.e2e.live_process import KEY, Place, environment, place, placed, shown_in

K = FaultKind
QUICK = ("--set", "pybotters.timeout_sec=2", "--set", "ws.connect_timeout_sec=3")


def fills(there: Place) -> int:
    return len(there.room.venue.ledger().fills)


def remembered(there: Place) -> int:
    """Fills in the journal of a process that runs."""
    path = journal_path(there.folder / "journal", "FX_BTC_JPY")
    if not fills(there) or not path.exists():
        return 0
    with JournalReader.open(path) as reader:
        return sum(1 for _ in reader.fills())


# --- a run and its end -----------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
async def test_signal_ends_a_run_whose_books_are_the_venue_s(number: signal.Signals, tmp_path: Path) -> None:
    async with place(tmp_path) as there:
        daemon = there.start("run_live", *there.live_flags())
        await there.until("a fill", lambda: fills(there) and placed(there) >= 6, daemon)
        daemon.send_signal(number)
        code, out, err = await there.ended(daemon)
        assert code == 0, err
        assert number.name in out
        assert not there.room.venue.accounts["main"].live
        there.room.check()
        assert f"stopping: {number.name}" in there.app_log()


@pytest.mark.slow
async def test_duration_ends_a_run(tmp_path: Path) -> None:
    async with place(tmp_path) as there:
        code, out, err = await there.run("run_live", *there.live_flags("--duration", "5"))
        assert code == 0, err
        assert "duration over" in out
        assert placed(there)
        assert not there.room.venue.accounts["main"].live
        there.room.check()


@pytest.mark.slow
async def test_second_signal_while_the_venue_answers_slowly(tmp_path: Path) -> None:
    """Two signals, and no answer to the cancels: they reach the exchange all the same."""
    async with place(tmp_path) as there:
        daemon = there.start("run_live", *there.live_flags("--set", "account.stop_sec=300"))
        await there.until("two quotes", lambda: len(there.resting) == 2, daemon)
        there.exchange.faults.inject(
            Fault(kind=K.LOSE_ANSWER, path="/v1/me/*"),
            Fault(kind=K.LOSE_FRAME, channel="child_order_events"),
        )
        daemon.send_signal(signal.SIGINT)
        await there.until("a stop", lambda: "stopping: SIGINT" in there.app_log(), daemon)
        daemon.send_signal(signal.SIGINT)
        code, _, _ = await there.ended(daemon)
        assert code in {0, 1}, "1 unless the quotes were filled meanwhile"
        await there.until_gone()


@pytest.mark.slow
async def test_stop_flat_ends_flat(tmp_path: Path) -> None:
    async with place(tmp_path) as there:
        more = ("--set", "risk.stop_flat=true", "--set", "strategy.max_reverse_ticks=1000000")
        daemon = there.start("run_live", *there.live_flags(*more))
        await there.until("a position", lambda: there.room.venue.ledger().position, daemon)
        daemon.send_signal(signal.SIGTERM)
        code, _, err = await there.ended(daemon)
        assert code == 0, err
        assert there.room.venue.ledger().position == 0
        there.room.check()


async def test_embedded_exchange_needs_no_keys_and_leaves_equal_books(tmp_path: Path) -> None:
    log_dir = tmp_path / "logs"
    done = await asyncio.to_thread(
        forked,
        "run_live",
        *("--base", str(REPO / "configs/base.yml"), "--config", str(REPO / "configs/sim.yml"), "--yes"),
        *("--set", "sim.speed=20", "--duration", "60", "--set", "watch.min_free_disk_mb=1", *UNLAGGING),
        *("--log-dir", str(log_dir)),
        cwd=tmp_path,
        env=environment(tmp_path, None),
        timeout=TIMEOUT_S,
    )
    assert (done.returncode, done.stderr) == (0, "")
    with JournalReader.open(newest(log_dir) / "journal" / "FX_BTC_JPY.sqlite3") as reader:
        known = Counter((f.row.order_id, f.row.side.value, f.row.size) for f in reader.fills())
        live = reader.live_orders()
    assert live == []
    assert len(known) > 3
    told = Counter((row["order_id"], row["side"], int(Decimal(row["size"]) * 10**8)) for row in rows(log_dir, "trades"))
    assert told == known


# --- refused before anything is sent ---------------------------------------------------------------------------------


async def test_without_a_terminal_it_wants_yes(tmp_path: Path) -> None:
    async with place(tmp_path) as there:
        flags = [flag for flag in there.live_flags() if flag != "--yes"]
        code, _, err = await there.run("run_live", *flags)
        assert code == 2
        assert "--yes" in err
        assert there.exchange.audit.records() == []
        assert not (tmp_path / "logs").exists()


@pytest.mark.parametrize(("typed", "starts"), [("yes\n", True), ("y\n", False), ("\x04", False)])
async def test_terminal_is_asked(typed: str, *, starts: bool, tmp_path: Path) -> None:
    async with place(tmp_path) as there:
        ours, theirs = pty.openpty()
        flags = [flag for flag in there.live_flags("--duration", "1") if flag != "--yes"]
        daemon = there.start("run_live", *flags, stdin=theirs)
        os.close(theirs)
        os.write(ours, typed.encode())
        code, out, err = await there.ended(daemon)
        os.close(ours)
        assert "REAL ORDERS" in out
        assert code == (0 if starts else 2)
        assert ("not started" in err) is not starts
        assert bool(there.exchange.audit.records()) is starts


async def test_ctrl_c_at_the_question_is_a_no(tmp_path: Path) -> None:
    async with place(tmp_path) as there:
        ours, theirs = pty.openpty()
        flags = [flag for flag in there.live_flags() if flag != "--yes"]
        daemon = there.start("run_live", *flags, stdin=theirs)
        assert daemon.stdout is not None
        assert "FX_BTC_JPY" in await asyncio.to_thread(daemon.stdout.readline)
        for _ in range(30):  # Python loses one that comes between its last look and the system call that reads
            daemon.send_signal(signal.SIGINT)
            with suppress(subprocess.TimeoutExpired):
                await asyncio.to_thread(daemon.wait, 2)
                break
        code, _, err = await there.ended(daemon)
        os.close(theirs)
        os.close(ours)
        assert (code, err.strip()) == (2, "run_live: not started")
        assert there.exchange.audit.records() == []


async def test_paper_configuration_is_refused(tmp_path: Path) -> None:
    async with place(tmp_path) as there:
        code, _, err = await there.run("run_live", *there.live_flags("--config", str(REPO / "configs/paper.yml")))
        assert code == 2
        assert "env: paper" in err
        assert there.exchange.audit.records() == []


async def test_missing_keys_are_named(tmp_path: Path) -> None:
    async with place(tmp_path) as there:
        code, _, err = await there.run("run_live", *there.live_flags(), key=None)
        assert code == 2
        assert "BITFLYER_API_KEY and BITFLYER_API_SECRET" in err
        assert there.exchange.audit.records() == []


@pytest.mark.parametrize(
    ("key", "words"),
    [
        (ApiKey(key=KEY.key, secret="CANARY-secret-that-is-wrong"), "-502"),
        (ApiKey(key="CANARY-key-that-is-unknown", secret="CANARY-secret-of-unknown"), "-501"),
    ],
    ids=["secret", "key"],
)
async def test_refused_keys_end_with_2(key: ApiKey, words: str, tmp_path: Path) -> None:
    async with place(tmp_path) as there:
        code, out, err = await there.run("run_live", *there.live_flags(*QUICK), key=key)
        assert code == 2, err
        assert words in out
        assert there.sent == []
        assert words in there.app_log()
        assert not (there.folder / "logs/latest").exists(), "it did not trade"
        assert shown_in(tmp_path, key.key) == []
        assert key.key not in out


async def test_missing_permission_ends_with_2(tmp_path: Path) -> None:
    weak = ApiKey(key=KEY.key, secret=KEY.secret, permissions=frozenset(PERMISSIONS) - {"/v1/me/cancelchildorder"})
    async with place(tmp_path, key=weak) as there:
        code, out, err = await there.run("run_live", *there.live_flags(*QUICK))
        assert code == 2, err
        assert "missing: cancelchildorder" in out
        assert there.sent == []


@pytest.mark.parametrize("state", [BoardState.CLOSED, BoardState.PREOPEN])
async def test_board_that_does_not_run_ends_with_1(state: BoardState, tmp_path: Path) -> None:
    async with place(tmp_path) as there:
        there.exchange.set_condition(state=state)
        code, out, err = await there.run("run_live", *there.live_flags(*QUICK))
        assert code == 1, err
        assert f"board {state.value}" in out
        assert there.sent == []


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        (Fault(kind=K.CLOCK_SKEW, seconds=60, to_s=1_000), "behind the venue's"),
        (Fault(kind=K.CLOCK_SKEW, seconds=-60, to_s=1_000), "ahead of the venue's"),
        (Fault(kind=K.MAINTENANCE, to_s=1_000), "board CLOSED"),
        (Fault(kind=K.SERVER_ERROR, path="/v1/*", http_status=503), "HTTP 503"),
        (Fault(kind=K.LOSE_ANSWER, path="/v1/me/*"), "no answer in time"),
    ],
    ids=["clock behind", "clock ahead", "maintenance", "503", "silence"],
)
async def test_state_of_the_world_ends_with_1(fault: Fault, words: str, tmp_path: Path) -> None:
    async with place(tmp_path) as there:
        there.exchange.faults.inject(fault)
        await asyncio.sleep(0.2)
        code, out, err = await there.run("run_live", *there.live_flags(*QUICK))
        assert code == 1, err
        assert words in out
        assert there.sent == []


async def test_unreachable_venue_ends_with_1(tmp_path: Path) -> None:
    async with place(tmp_path) as there:
        dead = f"127.0.0.1:{dead_port()}"
        urls = ("--set", f"exchange.base_url=http://{dead}", "--set", f"exchange.ws_url=ws://{dead}/json-rpc")
        code, out, err = await there.run("run_live", *there.live_flags(*urls, *QUICK))
        assert code == 1, err
        assert "connection refused" in out


async def test_feed_that_never_comes_ends_with_1(tmp_path: Path) -> None:
    """REST is well, the socket is refused: a clear line, nothing sent."""
    async with place(tmp_path) as there:
        there.exchange.faults.inject(Fault(kind=K.REFUSE_SOCKETS))
        code, _, err = await there.run("run_live", *there.live_flags(*QUICK))
        assert code == 1
        assert "within 3 s" in err
        assert there.sent == []


async def test_login_that_is_refused_ends_with_2(tmp_path: Path) -> None:
    async with place(tmp_path) as there:
        there.exchange.faults.inject(Fault(kind=K.REFUSE_AUTH))
        code, _, err = await there.run("run_live", *there.live_flags(*QUICK))
        assert code == 2, err
        assert there.sent == []


# --- one instance, restarts, halts -----------------------------------------------------------------------------------


@pytest.mark.slow
async def test_c11_second_process_is_refused_by_journal_and_by_account(tmp_path: Path) -> None:
    """C11: on the same journal, and on another one with the same account."""
    async with place(tmp_path) as there:
        first = there.start("run_live", *there.live_flags())
        await there.until("a quote", lambda: placed(there), first)
        questions = ("--log-dir", str(tmp_path / "logs-of-the-second"))
        code, _, err = await there.run("run_live", *there.live_flags(*questions))
        assert code == 1
        assert f"in use by process {first.pid}" in err or str(first.pid) in err
        other = ("--set", f"journal.dir={tmp_path / 'another'}")
        code, _, err = await there.run("run_live", *there.live_flags(*questions, *other))
        assert code == 1
        assert "the account is traded by" in err
        code, _, err = await there.run("run_live", *there.live_flags())
        assert code == 1, "the log folder has its lock, too"
        first.send_signal(signal.SIGTERM)
        assert (await there.ended(first))[0] == 0
        there.room.check()


@pytest.mark.slow
async def test_shadow_runs_beside_a_live_run_and_sends_nothing(tmp_path: Path) -> None:
    """Without a question. The live run's orders are no finding of its own books, and its journal is untouched."""
    async with place(tmp_path) as there:
        live = there.start("run_live", *there.live_flags())
        await there.until("a quote", lambda: placed(there), live)
        flags = [*there.flags, "--log-dir", str(tmp_path / "shadow"), "--shadow", "--duration", "12"]
        code, out, err = await there.run("run_live", *flags)
        assert code == 0, err
        assert "shadow" in out
        assert "a live run would have sent" in out
        assert "nothing was sent" in out
        assert "the private channel tells of what this run did not do" in out
        assert "No deviation" not in (newest(tmp_path / "shadow") / "shadow.md").read_text()
        with JournalReader.open(journal_path(newest(tmp_path / "shadow") / "journal", "FX_BTC_JPY")) as reader:
            assert not [fact for fact in reader.facts() if fact.what in {"halt", "difference", "stranger"}]
            ours = {order.order_id for order in reader.orders()}
        assert ours
        assert all(name is None or name.startswith("PAPER-") for name in ours)
        for command in ("state", "why"):
            more = ["now"] if command == "why" else []
            code, out, err = await there.run(command, *there.flags, "--log-dir", str(tmp_path / "shadow"), *more)
            assert code == 0, err
        live.send_signal(signal.SIGTERM)
        assert (await there.ended(live))[0] == 0
        there.room.check()
        assert placed(there) == sum("POST" in call and "sendchildorder" in call for call in there.sent)


@pytest.mark.slow
async def test_c3_killed_between_a_fill_and_its_row_and_started_again(tmp_path: Path) -> None:
    """C3: `kill -9` while the CSV row of a fill waits to be written; `tests/live/kill_chain.py` has other moments."""
    async with place(tmp_path) as there:
        daemon = there.start("run_live", *there.live_flags("--set", "log.flush_ms=900"))
        await there.until("a fill that is remembered", lambda: remembered(there), daemon)
        daemon.kill()
        await asyncio.to_thread(daemon.communicate)
        before = placed(there)
        again = there.start("run_live", *there.live_flags())
        await there.until("new quotes", lambda: placed(there) > before, again)
        again.send_signal(signal.SIGTERM)
        code, _, err = await there.ended(again)
        assert code == 0, err
        assert not there.room.venue.accounts["main"].live
        there.room.check()


@pytest.mark.slow
async def test_halt_stays_until_the_operator_resumes(tmp_path: Path) -> None:
    """Refused orders halt; a restart is halted still and sends nothing; after `state resume` it trades."""
    async with place(tmp_path) as there:
        desk = there.room.venue.desk
        desk.refusal = Refusal(status=-106, message="The price is too low.")
        strict = there.live_flags("--set", "risk.max_rejects=2")
        code, out, _ = await there.run("run_live", *strict)
        assert code == 3
        assert "halted: rejects" in out
        assert "HALT rejects" in there.app_log()
        halts = [row for row in rows(tmp_path / "logs", "decisions") if row["decision_type"] == "halt"]
        assert [row["reason"] for row in halts] == ["rejects"]
        desk.refusal = None
        sent = len(there.sent)
        code, out, _ = await there.run("run_live", *there.live_flags("--set", "risk.max_rejects=9"))
        assert (code, len(there.sent)) == (3, sent)
        assert "halted: rejects" in out
        code, out, err = await there.run("state", "resume", "--yes", "--reason", "looked at it", *there.flags)
        assert code == 0, err
        daemon = there.start("run_live", *strict)
        await there.until("quotes", lambda: len(there.sent) > sent + 1, daemon)
        daemon.send_signal(signal.SIGTERM)
        assert (await there.ended(daemon))[0] == 0
        there.room.check()


@pytest.mark.slow
async def test_secrets_are_in_no_output_and_no_file(tmp_path: Path) -> None:
    """Through trading, drops and refusals; and by the commands that read what is left."""
    async with place(tmp_path) as there:
        daemon = there.start("run_live", *there.live_flags())
        await there.until("a fill", lambda: fills(there), daemon)
        there.exchange.faults.inject(Fault(kind=K.ABORT_SOCKETS), Fault(kind=K.SERVER_ERROR, count=4))
        struck = there.exchange.faults.struck
        await there.until("failed calls", lambda: struck["server_error"] > 1, daemon)
        daemon.send_signal(signal.SIGTERM)
        code, _, _ = await there.ended(daemon)
        assert code in {0, 1}
        folder = str(tmp_path / "exported")
        for command in (["state", "show"], ["state", "show", "--json"], ["state", "export", folder]):
            code, out, err = await there.run(command[0], *command[1:], *there.flags)
            assert code == 0, err
            assert out
        code, out, _ = await there.run("doctor", *there.flags, "--log-dir", str(tmp_path / "logs"))
        assert "fingerprint" in out
        fingerprint = Credentials(key=KEY.key, secret=KEY.secret).fingerprint
        kinds = {path.suffix for path in shown_in(tmp_path, fingerprint)}
        assert {".log", ".sqlite3"} <= kinds, "the search finds what is there"


# --- a machine that sleeps, a process that stands still ---------------------------------------------------------------


@pytest.mark.slow
async def test_process_that_stood_still_believes_nothing_of_what_waited(tmp_path: Path) -> None:
    async with place(tmp_path) as there:
        process = there.start("run_live", *there.live_flags())
        await there.until("a strike", lambda: placed(there) >= 2, process)
        process.send_signal(signal.SIGSTOP)
        stopped = placed(there)
        await asyncio.sleep(7)  # what is tested is that time passes
        assert placed(there) == stopped
        process.send_signal(signal.SIGCONT)
        await there.until(
            "the standstill in the log", lambda: "this process stood still for" in there.app_log(), process
        )
        await there.until("another strike", lambda: placed(there) > stopped, process)

        def since_then() -> str:
            return there.app_log().partition("this process stood still for")[2]

        await there.until("the strike in the log", lambda: " strike " in since_then(), process)
        again = since_then()
        assert again.index("private channel is down") < again.index("account reconciled") < again.index(" strike ")
        process.send_signal(signal.SIGTERM)
        assert (await there.ended(process))[0] == 0
        there.room.check()
