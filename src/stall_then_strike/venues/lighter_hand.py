"""The watchdog's hand at Lighter: cancel all orders of the account, at once or by the venue's own dead man's switch.

It is separate from the trader's broker on purpose: no state, one nonce asked for with each transaction. A key has one
counter of nonces, so a transaction of this hand disturbs a trader that uses the same key. At once that does not matter,
because the trader is dead. The switch is renewed while the trader lives, so it needs another API key of the account
(`watch.account`); without one it is not set.

Venue facts: a scheduled cancel-all is 5 minutes to 15 days ahead; an account has one, and each new one replaces it; it
cancels all markets, and orders that were entered by hand.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from loguru import logger

from stall_then_strike.config.models import AppConfig
from stall_then_strike.infra.clock import Clock, SystemClock
from stall_then_strike.lighter.client import INVALID_NONCE, LighterClient
from stall_then_strike.lighter.limiter import PLANS, Limiter
from stall_then_strike.lighter.signing.account_keys import LighterAccount, load_lighter_account
from stall_then_strike.lighter.signing.intents import CancelAll
from stall_then_strike.lighter.signing.signer import Signer
from stall_then_strike.lighter.signing.tokens import Tokens
from stall_then_strike.types.dto import NS_PER_MS, NS_PER_S
from stall_then_strike.types.errors import AuthRefused, ConfigError, NoAnswer, UnfitOrder, VenueError

AHEAD_NS: Final = 6 * 60 * NS_PER_S
"""How far ahead the venue's switch is set."""
EVERY_NS: Final = 45 * NS_PER_S
"""How often it is put off while the trader lives."""
_TRIES: Final = 5
_AGAIN_NS: Final = NS_PER_S // 4
"""Between two of them: the venue's counter may lag."""


class LighterHand:
    """Cancels all orders of one account."""

    def __init__(self, signer: Signer, calls: LighterClient, key: int, clock: Clock, *, has_own_key: bool) -> None:
        """``key`` is the index of an API key that ``signer`` has; ``has_own_key``: the trader uses another one."""
        self._signer, self._calls, self._key, self._clock = signer, calls, key, clock
        self._has_own_key = has_own_key
        self._next_ns = self._down_ns = 0
        self.is_set = False
        """Whether the venue's switch is set by us, or may be."""

    async def send(self) -> None:
        """Cancel all orders at once. Raises AuthRefused or NoAnswer unless the venue accepted it."""
        await self._submit(CancelAll())

    async def check_key(self) -> None:
        """Check that the key is accepted. Raises AuthRefused if not, NoAnswer if the venue did not say."""
        try:
            await self._calls.active_orders(None)
        except VenueError as error:
            raise _as_told(error) from None

    async def while_alive(self) -> None:
        """Put the venue's switch off, if it is time. What goes wrong is logged: the trader is alive."""
        now_ns = self._clock.now_ns()
        if not self._has_own_key or now_ns < self._next_ns:
            return
        self._next_ns, self._down_ns = now_ns + EVERY_NS, 0
        await self._try(CancelAll(at_ms=(now_ns + AHEAD_NS) // NS_PER_MS), is_set=True)

    async def stand_down(self) -> None:
        """Take the switch back: the trader has stopped in good order. If that fails, it is tried again later."""
        now_ns = self._clock.now_ns()
        if self.is_set and now_ns >= self._down_ns:
            self._next_ns, self._down_ns = 0, now_ns + EVERY_NS
            await self._try(CancelAll(at_ms=0), is_set=False)

    async def _try(self, intent: CancelAll, *, is_set: bool) -> None:
        try:
            await self._submit(intent)
        except (AuthRefused, NoAnswer) as error:
            self.is_set = self.is_set or isinstance(error, NoAnswer)
            logger.warning("the venue's own cancel-all could not be {}: {}", "set" if is_set else "taken back", error)
        else:
            if is_set is not self.is_set:
                logger.info("the venue's own cancel-all is {}", "set" if is_set else "taken back")
            self.is_set = is_set

    async def _submit(self, intent: CancelAll) -> None:
        """Send it; again if a trader with the same key has taken the nonce meanwhile. Sent twice it does no harm."""
        for left in reversed(range(_TRIES)):
            try:
                nonce = await self._calls.next_nonce(self._key)
                await self._calls.send([self._signer.sign(intent, self._key, nonce)])
                return
            except VenueError as error:
                if error.code != INVALID_NONCE or not left:
                    raise _as_told(error) from None
            except UnfitOrder as error:
                raise NoAnswer("cancel-all", str(error)) from None
            await self._clock.sleep_until(self._clock.now_ns() + _AGAIN_NS)


def _as_told(error: VenueError) -> AuthRefused | NoAnswer:
    return error if isinstance(error, AuthRefused) else NoAnswer(error.request, error.detail, code=error.code)


@asynccontextmanager
async def lighter_cancel_all(cfg: AppConfig, account: LighterAccount) -> AsyncIterator[LighterHand]:
    """The watchdog's hand. Raises ConfigError for a key of another account, and without the extra ``lighter``."""
    clock, exchange = SystemClock(), cfg.exchange
    if name := cfg.watch.account:
        own = load_lighter_account(exchange.base_url, account=name, chosen_by="watch.account")
        if own.account_index != account.account_index or own.api_key_index == account.api_key_index:
            raise ConfigError(
                f"watch.account: {name!r} is no other key of account {account.account_index}; "
                "accepted: an entry of accounts.toml with this account_index and another api_key_index"
            )
    else:
        own = account
    signer = Signer(exchange.base_url, own.account_index, {own.api_key_index: own.private_key})
    try:
        tokens = Tokens(signer, own.api_key_index, clock)
        limiter = Limiter(clock, PLANS[exchange.plan])
        limit_s = float(cfg.pybotters.timeout_sec)
        calls = LighterClient(signer.client.api_client, own.account_index, limiter, tokens, clock, limit_s=limit_s)
        yield LighterHand(signer, calls, own.api_key_index, clock, has_own_key=own is not account)
    finally:
        await signer.aclose()
