"""The command `sim_lighter`: what it refuses, in this process; tests/e2e runs it."""

from __future__ import annotations

import pytest

from stall_then_strike.app.sim_lighter import main, parser
from stall_then_strike.infra.clock import VirtualClock
from stall_then_strike.sim.lighter_server import LighterExchange
from tests.sim.exchange_rig import START_NS


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (("--port", "70000"), "'70000' is not a port; accepted: 0 to 65535"),
        (("--plan", "gold"), "invalid choice: 'gold'"),
        (("--markets", "ETH,XYZ"), "accepted: each once, of ETH,BTC,SOL,DOGE,HYPE"),
        (("--markets", "ETH,ETH"), "is not a list of markets"),
        (("--collateral", "0"), "is not an amount; accepted: whole USDC above 0"),
        (("--speed", "max"), "'max' is not a speed here"),
        (("--faults", "nowhere.yml"), "sim_lighter: --faults nowhere.yml"),
        (("--faults", "configs/faults.yml"), "wrong_mid is no fault of Lighter's exchange; accepted: lose_frame, "),
        (("--chaos", "1", "--duration", "5"), "sim_lighter: --chaos 5 s is too short"),
    ],
)
def test_wrong_flags_are_told_before_anything_begins(
    flags: tuple[str, ...], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    try:
        code: object = main(flags)
    except SystemExit as ended:
        code = ended.code
    told = capsys.readouterr()
    assert (code, told.out) == (2, "")
    assert words in told.err


def test_by_default_all_markets_are_open_on_the_standard_plan() -> None:
    args = parser().parse_args([])
    assert [market.symbol for market in args.markets] == ["ETH", "BTC", "SOL", "DOGE", "HYPE"]
    assert (args.plan, args.port, args.seed, args.speed) == ("standard", 0, 1, 1.0)


def test_the_same_seed_gives_the_same_key() -> None:
    first, again, other = (LighterExchange(clock=VirtualClock(START_NS), seed=n).add_account() for n in (7, 7, 8))
    assert first == again != other
