"""This or a signal, whichever comes first."""

import asyncio

import pytest

from stall_then_strike.app.shell.first_of import first_of


async def after(turns: int) -> str:
    for _ in range(turns):
        await asyncio.sleep(0)
    return "came"


async def test_a_result_that_comes_before_the_signal_is_returned() -> None:
    assert await first_of(after(3), asyncio.Event()) == "came"


@pytest.mark.parametrize("is_set", [True, False])
async def test_what_a_signal_or_the_limit_beats_is_cancelled(is_set: bool) -> None:
    signal, cancelled = asyncio.Event(), asyncio.Event()
    if is_set:
        signal.set()

    async def never() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()

    assert await first_of(never(), signal, limit_s=None if is_set else 0.001) is None
    assert cancelled.is_set()


async def test_of_both_in_one_turn_the_result_counts() -> None:
    signal = asyncio.Event()
    signal.set()
    assert await first_of(after(0), signal) == "came"


async def test_a_failure_is_raised() -> None:
    async def fails() -> None:
        raise ValueError("broken")

    with pytest.raises(ExceptionGroup) as raised:
        await first_of(fails(), asyncio.Event())
    assert raised.group_contains(ValueError, match="broken")
