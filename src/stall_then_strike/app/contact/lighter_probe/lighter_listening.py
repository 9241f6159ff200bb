"""A probe's run at Lighter: listen to the session, ask, ask once more at the end, and judge."""

from __future__ import annotations

import re
from functools import partial
from typing import Final

import aiohttp

from stall_then_strike.app.contact.assumed.deviations import Deviations
from stall_then_strike.app.contact.assumed.masking import Masking
from stall_then_strike.app.contact.lighter_probe.lighter_manners import LighterManners
from stall_then_strike.app.contact.lighter_probe.lighter_questions import LighterQuestions
from stall_then_strike.app.contact.lighter_probe.lighter_stream_check import LighterStreamCheck
from stall_then_strike.app.contact.listening import listen_and_ask
from stall_then_strike.app.contact.watching import Figures
from stall_then_strike.app.shell.ending import Ending
from stall_then_strike.config.models import AppConfig
from stall_then_strike.infra.clock import ScaledClock
from stall_then_strike.lighter.markets import configured_market
from stall_then_strike.lighter.signing.account_keys import LighterAccount
from stall_then_strike.venues.findings import Verdict, clock_finding
from stall_then_strike.venues.lighter_connection import LighterConnection

_SOMEBODY: Final = 2**48 - 2
"""The venue's liquidity pool: its private channel is asked for, without a token, if there is no account of ours."""


async def listen_at_lighter(
    cfg: AppConfig,
    clock: ScaledClock,
    account: LighterAccount | None,
    ending: Ending,
    duration_s: float,
    *,
    provokes: bool = True,
) -> tuple[Deviations, Figures]:
    """Listen for so many seconds of the clock, or until the ending is wanted. ``cfg`` is of one market.

    ``provokes``: also ask what the venue should refuse. Whatever goes wrong at the venue is a deviation and no error.
    Raises ConfigError without the extra ``lighter``, if there is an account.
    """
    found = Deviations(Masking() if account is None else Masking(partial(without_account, account)), clock)
    market, start_ns = configured_market(cfg.exchange), clock.now_ns()
    stream = LighterStreamCheck(market, found, None if account is None else account.account_index)
    async with LighterConnection(cfg, clock, account) as connection, aiohttp.ClientSession() as client:
        connection.session.tap = stream
        questions = LighterQuestions(cfg, market, found, clock, client)
        index = _SOMEBODY if account is None else account.account_index
        manners = LighterManners(cfg.exchange.ws_url, market.market_index, index, found)

        async def ask(*, provokes: bool) -> None:
            await questions.ask_public(provokes=provokes)
            if account is not None and (tokens := connection.tokens) is not None:
                key = account.api_key_index
                await questions.ask_private(account.account_index, key, tokens, provokes=provokes)

        await listen_and_ask(
            connection.session,
            found,
            clock,
            ending,
            duration_s,
            manners.observe(provokes=provokes),
            ask(provokes=provokes),
            lambda: ask(provokes=False),
            awaited="books and the account's channels",
        )
        finding = clock_finding(questions.skew, cfg.risk.max_clock_skew_sec)
        now_ns = clock.now_ns()
        if finding.verdict is not Verdict.OK and questions.calls:
            expected = "our clock and the venue's agree within half of risk.max_clock_skew_sec"
            found.add("the clock", expected, finding.text, is_grave=finding.exit_code != 0)
        stream.finish(now_ns, questions.skew.skew_ns() or 0)
        connection.session.tap = None  # that it ends now is no deviation
        return found, Figures(
            listened_s=(now_ns - start_ns) / 1e9,
            connections=stream.connects,
            frames=stream.frames,
            mids=stream.mids,
            channels=stream.figures(),
            calls=questions.calls,
            answer_s=sorted(took_ns / 1e9 for took_ns in questions.times_ns),
            clock=finding.text,
            limits=(),  # the venue's answers tell none
            events=stream.events,
        )


def streams_of(cfg: AppConfig, account: LighterAccount, found: Deviations) -> list[LighterStreamCheck]:
    """A check for each market of a configuration, each with the account's channels."""
    markets = [configured_market(each.exchange) for each in cfg.by_instrument()]
    return [
        LighterStreamCheck(market, found, account.account_index, [other for other in markets if other is not market])
        for market in markets
    ]


def without_account(account: LighterAccount, text: str) -> str:
    """A text without the account's secrets and its number, which names of channels have."""
    return re.sub(rf"\b{account.account_index}\b", "ACCOUNT", account.redact(text))
