"""A shadow run finds what deviates at the venue: nothing on a faithful exchange, each deviation by its name."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from decimal import Decimal
from pathlib import Path

import pytest

from stall_then_strike.app.contact.assumed.deviations import Deviations
from stall_then_strike.app.contact.shadowing import Shadowing
from stall_then_strike.app.shell.command import EXIT_DONE, EXIT_FAILED, leaves
from stall_then_strike.app.shell.ending import Ending
from stall_then_strike.sim.exchange.flow_model import FlowModel
from stall_then_strike.sim.faults.kinds import Fault, FaultKind
from tests.app.contact.deviant import (
    ANSWERS,
    PRIVATE,
    STREAM,
    TICKER,
    Deviant,
    Deviation,
    Frames,
    Message,
    body_of,
    faults_of,
    put,
    rows,
)
from tests.app.contact.test_listening import trade_by_hand
from tests.live.rig import KEY, LiveRoom, live_room
from tests.signing import SIGNED

pytestmark = [SIGNED, pytest.mark.alone]
K = FaultKind
SPEED = 4.0
DURATION_S = 60.0
PATIENT = {"pybotters": {"timeout_sec": Decimal(4)}, "account": {"reconcile_sec": Decimal(10)}}


def silent_from(count: int) -> Deviation:
    """The ticker comes so often and then no more."""
    seen = [0]

    def silence(channel: str, message: Message) -> Frames | None:
        seen[0] += channel == TICKER
        return [] if channel == TICKER and seen[0] > count else None

    return Deviation(f"{TICKER} is silent", silence)


UNFIT = {"a wrong mid", "another word for a state"}
"""With these no order is allowed, so nothing strikes."""
WAYS = {
    **{name: way for name, way in STREAM.items() if name not in UNFIT},
    **PRIVATE,
    **{name: ANSWERS[name] for name in ("a larger limit", "reset in milliseconds", "another load", "the oldest first")},
    "a list has more fields": Deviation(
        "me/getchildorders.fee is not known", answer=body_of("me/getchildorders", rows(put("fee", 0)))
    ),
    "more in the collateral": Deviation(
        "me/getcollateral.bonus is not known", answer=body_of("me/getcollateral", put("bonus", 0))
    ),
    "a channel falls silent": silent_from(60),
}  # fmt: skip


@asynccontextmanager
async def shadowed(
    folder: Path, ways: Sequence[Deviation] = (), *, has_hand: bool = False
) -> AsyncIterator[tuple[int, str, LiveRoom, Deviations]]:
    """The exit code of the run, why it failed, the room and what was found."""
    async with (
        live_room(folder, speed=SPEED, model=FlowModel(), faults=faults_of(ways), sections=PATIENT) as room,
        Deviant(room.exchange.base_url, room.exchange.ws_url, ways) as relay,
    ):
        direct, shadowing = room.cfg, Shadowing()
        room.through = shadowing.through
        room.attend = lambda run: shadowing.attend(run, Ending())
        hand = asyncio.create_task(trade_by_hand(room)) if has_hand else None
        room.cfg = direct.at(*relay.addresses)
        code, why = EXIT_FAILED, ""
        try:
            code = await room.run(DURATION_S)
        except ExceptionGroup as raised:
            why = "; ".join(map(str, leaves(raised)))
        if hand is not None:
            room.cfg = direct
            await hand
        shadowing.finish(why)
        text = shadowing.report("loopback")
        assert KEY.key not in text
        assert KEY.secret not in text
        shown = "\n".join(shadowing.lines(80))
        assert all(name[:40] in shown for name in shadowing.deviations.names)
        assert "would have sent" in shown
        yield code, why, room, shadowing.deviations


@pytest.mark.slow(seconds=20)
async def test_faithful_exchange_has_no_deviation(tmp_path: Path) -> None:
    async with shadowed(tmp_path) as (code, _, room, found):
        assert [(one.name, one.seen, one.example) for one in found] == []
        assert code == EXIT_DONE
        assert room.last is not None
        assert room.last.core.record.tally.strikes > 10


@pytest.mark.slow(seconds=20)
async def test_every_deliberate_deviation_is_found_and_named(tmp_path: Path) -> None:
    """While somebody trades on the account, whose doing is named as well."""
    async with shadowed(tmp_path, list(WAYS.values()), has_hand=True) as (code, _, room, found):
        assert len(WAYS) >= 18
        assert [name for name, way in WAYS.items() if way.found not in found.names] == []
        assert code == EXIT_DONE
        assert room.last is not None
        assert "the account's collateral has changed" in found.names
        assert "the private channel tells of what this run did not do" in found.names
        assert {one.account for one in room.exchange.audit.records("POST /v1/me/sendchildorder")} == {"main"}
        assert len(room.exchange.audit.records("POST /v1/me/sendchildorder")) == 12, "only those by hand"


def unacknowledged(message: Message) -> None:
    """The answer to a subscription or the login is of no request."""
    if message.get("result"):
        message["id"] = -1


TEXT_FOR_NUMBER = Deviation("me/getcollateral.collateral has another form", answer=ANSWERS["a number in quotes"].answer)
GRAVE = {
    "the login is refused": (Deviation("a live run would fail", fault=Fault(kind=K.REFUSE_AUTH)), "refuses the login"),
    "nothing is acknowledged": (Deviation("a live run would fail", rpc=unacknowledged), ""),
    "the clock is off": (Deviation("the clock", fault=Fault(kind=K.CLOCK_SKEW, seconds=20)), ""),
    "a number is a text": (TEXT_FOR_NUMBER, ""),
}


@pytest.mark.slow(seconds=20)
@pytest.mark.parametrize("name", GRAVE)
async def test_what_a_live_run_would_end_by_is_named(name: str, tmp_path: Path) -> None:
    way, words = GRAVE[name]
    async with shadowed(tmp_path, [way]) as (code, why, room, found):
        assert code != EXIT_DONE
        assert words in why
        assert way.found in found.names
        assert not room.exchange.audit.records("POST /v1/me/sendchildorder")
