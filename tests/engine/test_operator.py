"""What the operator commands while the core trades: pause, flatten, cancel all, resume, new settings."""

from __future__ import annotations

from decimal import Decimal

import pytest

from stall_then_strike.config.changes import RISK_KEYS, STRATEGY_KEYS, differences, of_instrument, with_changes
from stall_then_strike.config.models import AppConfig, InstrumentConfig, QuoteMode
from stall_then_strike.types.dto import (
    Command,
    Control,
    NewSettings,
    Notice,
    PlaceLimit,
    Reason,
    SettingChange,
)
from tests.engine.core_rig import MIN, Desk, at, config, core_of, open_desk, struck_desk
from tests.engine.test_portfolio import ETH, FX, Account, restored

R = Reason
PATIENT = {"max_reverse_ticks": 1_000_000}
ROOMY = {"daily_pnl_jpy": -1_000_000, "max_dd_jpy": -1_000_000}


def settings(desk: Desk, ms: float, **changes: str) -> list[str]:
    """New settings, ``strategy__ttl_ms="500"``; what the runtime log says of them."""
    items = tuple(SettingChange(key=key.replace("__", "."), value=value) for key, value in changes.items())
    step = desk.feed(NewSettings(ts_ns=at(ms), changes=items, detail="by me"), ms)
    return [row.text for row in step.rows if isinstance(row, Notice)]


# --- Pause ------------------------------------------------------------------------------------------------------------


def test_pause_takes_quotes_back_and_makes_none_until_resumed() -> None:
    desk, bid, ask = struck_desk()
    desk.control(300, Command.PAUSE)
    assert desk.cancels[0].reason is R.PAUSED
    desk.cancelled(310, bid.client_order_id, ask.client_order_id)
    desk.wait(5_000, alive_ms=100)
    assert len(desk.quotes) == 2
    assert desk.core.hold_reason is R.PAUSED
    desk.control(5_000, Command.RESUME)
    desk.wait(6_000, alive_ms=100)
    assert len(desk.quotes) >= 4


def test_exits_go_on_while_paused() -> None:
    desk, bid, ask = struck_desk()
    desk.filled(300, bid)
    desk.control(310, Command.PAUSE)
    desk.cancelled(320, ask.client_order_id)
    assert desk.closes == []
    desk.board(400, bid=9_900, ask=10_000)
    assert [close.reason for close in desk.closes] == [R.REVERSE]


def test_release_of_the_journal_does_not_lift_the_operators_pause() -> None:
    desk = open_desk()
    desk.control(10, Command.PAUSE)
    desk.control(20, Command.HOLD, R.JOURNAL_LOCKED)
    desk.control(30, Command.RELEASE, R.JOURNAL_LOCKED)
    desk.wait(1_000, alive_ms=100)
    assert desk.quotes == []
    assert desk.core.hold_reason is R.PAUSED


def test_second_pause_says_nothing() -> None:
    desk = open_desk()
    desk.control(10, Command.PAUSE)
    assert desk.control(20, Command.PAUSE).rows == ()


def test_resume_lifts_a_halt_and_a_pause() -> None:
    desk = open_desk(config(risk={"after_halt": "wait"}))
    desk.control(10, Command.PAUSE)
    desk.control(20, Command.HALT)
    desk.control(30, Command.RESUME)
    assert (desk.core.halted, desk.core.shared.paused) == (None, None)
    desk.wait(1_000, alive_ms=100)
    assert desk.quotes


# --- Flatten ----------------------------------------------------------------------------------------------------------


def test_flatten_closes_and_stays_flat_until_resumed() -> None:
    desk, bid, ask = struck_desk(config(strategy=PATIENT))
    desk.filled(300, bid)
    desk.board(310)
    desk.control(400, Command.FLATTEN)
    desk.cancelled(410, ask.client_order_id)
    desk.filled(420, desk.closes[0])
    assert desk.core.inventory.position == 0
    desk.filled(430, ask)  # it was matched before its cancel
    assert [(close.size, close.reason) for close in desk.closes] == [(MIN, R.FLATTEN)] * 2
    desk.filled(440, desk.closes[1])
    desk.wait(3_000, alive_ms=100)
    assert len(desk.quotes) == 2
    assert not desk.core.is_done, "the program goes on"


def test_resume_ends_a_close_that_waits() -> None:
    desk, bid, _ = struck_desk(config(strategy=PATIENT))
    desk.filled(300, bid)
    desk.control(310, Command.FLATTEN)
    assert desk.core.exits.closing is not None
    desk.control(320, Command.RESUME)
    assert (desk.core.exits.closing, desk.closes) == (None, [])


def test_pause_after_flatten_stays_flat() -> None:
    desk = open_desk()
    desk.control(10, Command.FLATTEN)
    desk.control(20, Command.PAUSE)
    assert desk.core.shared.paused is R.FLATTEN


def test_flatten_leaves_a_position_alone_that_a_halt_leaves_to_the_operator() -> None:
    desk, bid, ask = struck_desk(config(strategy=PATIENT, risk={"after_halt": "wait"}))
    desk.filled(300, bid)
    desk.control(310, Command.HALT, R.AUTH_REFUSED)
    desk.control(320, Command.FLATTEN)
    desk.cancelled(330, ask.client_order_id)
    desk.wait(2_000, alive_ms=100)
    assert desk.closes == []


# --- Cancel all -------------------------------------------------------------------------------------------------------


def test_cancel_all_takes_back_what_is_live_and_quotes_go_on() -> None:
    desk, bid, ask = struck_desk()
    desk.control(300, Command.CANCEL_ALL)
    assert [cancel.reason for cancel in desk.cancels] == [R.OPERATOR]
    desk.cancelled(310, bid.client_order_id, ask.client_order_id)
    desk.wait(1_500, alive_ms=100)
    assert len(desk.quotes) > 2


# --- Memory -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("command", "paused"), [(Command.PAUSE, R.PAUSED), (Command.FLATTEN, R.FLATTEN)])
def test_restart_is_paused_as_before(command: Command, paused: Reason) -> None:
    desk = Desk(live=True)
    changes = desk.control(10, command).changes
    assert changes is not None
    assert changes.memo is not None
    assert [(fact.what, fact.detail.partition(":")[0]) for fact in changes.facts] == [("operator", command.value)]
    again = core_of(desk.cfg, live=True)
    again.restore(changes.memo, (), ())
    assert again.shared.paused is paused


# --- Several instruments ----------------------------------------------------------------------------------------------


def test_pause_is_the_accounts() -> None:
    account = Account()
    account.open()
    account.pass_ms(300)
    assert account.wanted(FX, PlaceLimit)
    assert account.wanted(ETH, PlaceLimit)
    taken = account.tell(Control(ts_ns=0, command=Command.PAUSE, reason=R.OPERATOR, detail="by me"))
    told = [fact for one in taken if one.step.changes for fact in one.step.changes.facts if fact.what == "operator"]
    assert len(told) == 1
    account.end_quotes()
    account.pass_ms(500)
    assert [core.hold_reason for core in account.cores] == [R.PAUSED, R.PAUSED]
    assert {core.shared.paused for core in restored(account).cores} == {R.PAUSED}


# --- New settings -----------------------------------------------------------------------------------------------------


def test_new_settings_hold_at_once() -> None:
    desk = open_desk(config(strategy={"stall_T_ms": 5_000}))
    desk.wait(1_000, alive_ms=100)
    assert desk.quotes == []
    said = settings(desk, 1_010, strategy__stall_T_ms="200", strategy__size_min="0.002", strategy__ttl_ms="300")
    assert said == ["settings changed: by me", "strike 0.002 BTC: BUY 10049 / SELL 10051"], "in the same step"
    assert [(quote.size, quote.ttl_ms) for quote in desk.quotes] == [(2 * MIN, 300)] * 2


def test_lower_limit_that_is_reached_halts_at_once() -> None:
    desk, bid, ask = struck_desk(config(strategy=PATIENT, risk=ROOMY))
    desk.filled(300, bid)
    desk.cancelled(310, ask.client_order_id)
    desk.board(320, bid=8_000, ask=8_100)
    assert desk.core.halted is None
    settings(desk, 330, risk__daily_pnl_jpy="-1")
    assert desk.core.halted is R.KILL_PNL


def test_limits_of_the_account_change_for_all_instruments() -> None:
    account = Account()
    account.open()
    account.tell(
        NewSettings(
            ts_ns=0,
            changes=(
                SettingChange(key="risk.daily_pnl_jpy", value="-7"),
                SettingChange(key="instruments.1.strategy.ttl_ms", value="77"),
            ),
        )
    )
    assert account.portfolio.day is not None
    assert account.portfolio.day.daily_limit == -7 * 10**10
    assert [core.cfg.strategy.ttl_ms for core in account.cores] == [account.cfg.strategy.ttl_ms, 77]


def test_each_key_that_may_change_is_a_setting_and_is_taken() -> None:
    cfg = AppConfig()
    new = cfg.model_copy(
        update={
            "strategy": cfg.strategy.model_copy(
                update={
                    "stall_T_ms": 300,
                    "min_spread_tick": 2,
                    "ttl_ms": 900,
                    "max_reverse_ticks": 3,
                    "size_min": Decimal("0.002"),
                    "max_inventory_btc": Decimal("0.3"),
                    "quote_mode": QuoteMode.JOIN,
                    "quote_offset_ticks": 2,
                    "close_type": "ioc",
                    "close_band_ticks": 1,
                    "close_retry_ms": 600,
                }
            ),
            "risk": cfg.risk.model_copy(
                update={
                    "daily_pnl_jpy": Decimal(-1),
                    "max_dd_jpy": Decimal(-2),
                    "max_rejects": 3,
                    "flatten_blind_sec": Decimal(4),
                }
            ),
        }
    )
    found = differences(cfg, new)
    assert {one.key for one in found} == STRATEGY_KEYS | RISK_KEYS
    changed = with_changes(cfg, [SettingChange(key=one.key, value=one.new) for one in found])
    assert differences(changed, new) == []


def test_settings_that_do_not_go_together_are_refused_as_a_whole() -> None:
    cfg = AppConfig()
    with pytest.raises(ValueError, match=r"under strategy\.size_min"):
        with_changes(cfg, [SettingChange(key="strategy.max_inventory_btc", value="0.0001")])
    both = [("strategy.size_min", "0.5"), ("strategy.max_inventory_btc", "1")]
    assert with_changes(cfg, [SettingChange(key=key, value=value) for key, value in both]).strategy.size_min == Decimal(
        "0.5"
    )
    for key, value in (("strategy.ttl_ms", "x"), ("risk.max_dd_jpy", "nan"), ("strategy.none", "1"), ("x.y", "1")):
        with pytest.raises(ValueError, match=r"."):
            with_changes(cfg, [SettingChange(key=key, value=value)])


def test_changes_of_one_of_several_instruments() -> None:
    two = tuple(InstrumentConfig(product_code=name) for name in ("FX_BTC_JPY", "ETH_JPY"))
    old = AppConfig(instruments=two)
    new = with_changes(old, [SettingChange(key="instruments.1.strategy.ttl_ms", value="99")])
    (one,) = differences(old, new)
    assert (one.key, one.bare_key, str(one)) == (
        "instruments.1.strategy.ttl_ms",
        "strategy.ttl_ms",
        "instruments.1.strategy.ttl_ms: 800 -> 99",
    )
    changes = [SettingChange(key=one.key, value=one.new)]
    assert of_instrument(changes, 0) == ()
    assert of_instrument(changes, 1) == (SettingChange(key="strategy.ttl_ms", value="99"),)
