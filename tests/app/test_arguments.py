"""Arguments that no command can use: each is refused before anything begins, with what is accepted, and with 2."""

from __future__ import annotations

import io
import shlex

import pytest

from stall_then_strike.app.shell.command import EXIT_USAGE
from stall_then_strike.app.sts.program import main

pytest.importorskip("lighter")

MOMENT = "2026-11-21T07:30:13.123Z"
WRONG = {
    "state export": "export needs a folder: state export DIR",
    "state show out": "DIR goes with export only",
    "state resume --json": "--json goes with show only",
    "state show --yes": "--reason and --yes go with resume only",
    "state forget": "invalid choice: 'forget'",
    "state show --set journal.folder=x": "journal.folder: unknown key",
    "runs pack": "pack needs --older-than",
    "runs --older-than 1": "--older-than is not for list",
    "runs pack --older-than x": "is not a number of days",
    "runs pack --older-than 1 --yes": "go with prune only",
    "runs prune --older-than 1 --json": "--json goes with list only",
    "why": "the following arguments are required: TIME|ORDER_ID",
    "why 25:00": "'25:00' is not a time",
    "why 'a b'": "'a b' is neither a time nor the id of an order",
    f"why {MOMENT} --window 0": "'0' is not a duration; accepted: seconds above 0",
    f"why {MOMENT} --window 1e9": "'1e9' is too wide a window",
    f"why {MOMENT} --set strategy.ttl_ms=x": "strategy.ttl_ms",
    "tape sample --seconds 1e23 -o c.jsonl": "'1e23' is not a duration",
    "tape sample --seconds inf -o c.jsonl": "'inf' is not a duration",
    "tape check c.jsonl --tick-size 1e-400": "'1e-400' is not a step",
    "tape check c.jsonl --gap nan": "'nan' is not a duration",
    "backtest": "no TAPE was named; accepted: one or more tapes",
    "backtest nowhere.jsonl": "nowhere.jsonl: not a file",
    "backtest README.md --set backtest.engine=fast": "backtest.engine",
    "backtest README.md --latency-file nowhere.txt --engine interpreted": "nowhere.txt",
    "console --host 0.0.0.0": "--host 0.0.0.0 is reached by others",
    "console --host 192.168.0.7": "--host 192.168.0.7 is reached by others",
    "console --host ::": "--host :: is reached by others",
    "console --host localhost.example": "accepted: an IP address",
    "sim_lighter --port 70000": "'70000' is not a port; accepted: 0 to 65535",
    "sim_lighter --plan gold": "invalid choice: 'gold'",
    "sim_lighter --markets ETH,XYZ": "accepted: each once, of ETH,BTC,SOL,DOGE,HYPE",
    "sim_lighter --markets ETH,ETH": "is not a list of markets",
    "sim_lighter --collateral 0": "is not an amount; accepted: whole USDC above 0",
    "sim_lighter --keys 9": "'9' is not a number of keys; accepted: 1 to 8",
    "sim_lighter --speed max": "'max' is not a speed here",
    "sim_lighter --faults nowhere.yml": "sim_lighter: --faults nowhere.yml",
    "sim_lighter --faults configs/faults.yml": "wrong_mid is no fault of Lighter's exchange; accepted: lose_frame, ",
    "sim_lighter --chaos 1 --duration 5": "sim_lighter: --chaos 5 s is too short",
    "refresh_instruments --exchange BITFLYER": "'BITFLYER' has no list of instruments; accepted: XLIGHTER, LIGHTER",
    "refresh_instruments --base-url mainnet": "--base-url: 'mainnet'; accepted: http:// or https://",
    "refresh_instruments --base-url http://[::1": "--base-url: 'http://[::1'; accepted: http",
    "lighter place ETH buy 1 --price 1 --bound 2": "--bound goes with --market only",
    "lighter place ETH buy 1 --market --post-only": "--post-only goes with --price only",
    "lighter place ETH buy 1": "one of the arguments --price --market is required",
    "lighter place ETH buy -1 --price 1": "lighter place: error:",
    "lighter modify 1": "modify needs --price, --size or --trigger-price",
    "lighter cancel x": "argument ID:",
    "lighter cancel-all --base-url http://lighter.invalid": "no terminal to ask on before something is sent to http://l",
}


@pytest.mark.parametrize("line", WRONG)
def test_wrong_arguments_are_refused_before_anything_begins(
    line: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("y\n"))  # no terminal
    try:
        code: object = main(shlex.split(line))
    except SystemExit as ended:  # argparse's own
        code = ended.code
    told = capsys.readouterr()
    assert (code, told.out) == (EXIT_USAGE, "")
    assert WRONG[line] in told.err
