"""The official SDK as a client of the exchange, without our adapter."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import pytest

from stall_then_strike.infra.clock import SystemClock
from stall_then_strike.sim.lighter.lighter_venue import VenueSettings
from stall_then_strike.sim.lighter_server import Credentials, LighterExchange
from tests.waiting import until

lighter = pytest.importorskip("lighter")
ETH, BTC = 0, 1
QUICK = VenueSettings(delay_ms=(1, 3))


def exchange(settings: VenueSettings = QUICK, **more: Any) -> LighterExchange:
    return LighterExchange(clock=SystemClock(), seed=1, settings=settings, **more)


@asynccontextmanager
async def client(venue: LighterExchange, *keys: Credentials) -> AsyncIterator[Any]:
    """The SDK's own client for one account; makes an account when no key is given."""
    keys = keys or (venue.add_account(),)
    signer = lighter.SignerClient(
        venue.base_url, keys[0].account_index, {key.api_key_index: key.private_key for key in keys}
    )
    try:
        yield signer
    finally:
        await signer.close()


def good(answer: tuple[Any, Any, str | None]) -> Any:
    """The venue's answer, when the SDK reports no error."""
    _, response, error = answer
    assert error is None
    assert response.code == 200
    return response


async def executed(venue: LighterExchange, *responses: Any) -> None:
    """Wait until the transactions with these answers have had their effect."""
    await until(lambda: all(venue.venue.txs[response.tx_hash].executed_ns for response in responses))


@contextmanager
def refused(code: int) -> Iterator[None]:
    """The API classes raise for HTTP 400 and 401, with the venue's code in the body."""
    with pytest.raises(lighter.exceptions.ApiException) as caught:
        yield
    assert f'"code":{code},' in str(caught.value.body)
