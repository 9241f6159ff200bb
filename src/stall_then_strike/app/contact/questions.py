"""The read-only calls of a probe, and what their answers should say: nothing here can send or cancel an order.

Some calls are wrong on purpose, because the simulated exchange assumes how the venue refuses them: an unknown product,
an unknown path, a private call without a signature. They count on the limits like any other and change nothing.
"""

from __future__ import annotations

from collections.abc import Awaitable, Sequence
from typing import Any, Final, NamedTuple, TypeVar

from stall_then_strike.app.contact.assumed.answer_check import AnswerCheck
from stall_then_strike.app.contact.assumed.deviations import Deviations
from stall_then_strike.app.contact.assumed.documented import FUNDING_HOURS
from stall_then_strike.infra.bitflyer.error_table import Answer
from stall_then_strike.infra.http_bitflyer import BitflyerHttp
from stall_then_strike.types.dto import ReportedState
from stall_then_strike.types.errors import VenueError

_NO_SUCH: Final = "NO_SUCH_PRODUCT"
_FEW: Final = 5
_A = TypeVar("_A")


class _Refused(NamedTuple):
    """A call that the venue should refuse, and how."""

    path: str
    query: dict[str, str]
    http_status: int
    code: int | None


class Questions:
    """One product's questions over the client that trading uses."""

    def __init__(self, http: BitflyerHttp, product: str, deviations: Deviations, check: AnswerCheck) -> None:
        """``check`` gets every answer from now on."""
        self._http, self._product, self._add, self._check = http, product, deviations.add, check
        self._last: Answer | None = None
        http.on_answer = self._on_answer

    def _on_answer(self, path: str, answer: Answer, sent_ns: int) -> None:
        self._last = answer
        self._check.take(path, answer, sent_ns)

    # --- public

    async def ask_public(self, *, provokes: bool) -> None:
        """Ask what needs no key. ``provokes``: also what the venue refuses."""
        ask, product = self._http.ask, self._product
        markets = await self._told("getmarkets", ask("getmarkets"))
        self._check_market(markets)
        await self._told("getboard", ask("getboard", product_code=product))
        await self._told("getticker", self._http.get_last_price())
        await self._check_pages("getexecutions")
        await self._told("getboardstate", self._http.get_board_state())
        await self._told("gethealth", ask("gethealth", product_code=product))
        self._check_funding(await self._told("getfundingrate", ask("getfundingrate", product_code=product)))
        if provokes:
            await self._refused(_Refused("getticker", {"product_code": _NO_SUCH}, 400, -100))
            await self._refused(_Refused("getfundingrate", {}, 404, None))
            await self._refused(_Refused("nosuchcall", {}, 404, None))

    # --- private

    async def ask_private(self, *, provokes: bool) -> None:
        """Ask what needs the key."""
        http = self._http
        await self._told("me/getpermissions", http.get_permissions())
        await self._told("me/getcollateral", http.get_collateral())
        await self._told("me/getbalance", http.get_balance())
        await self._told("me/getchildorders", http.get_child_orders())
        active = await self._told("me/getchildorders", http.get_child_orders(ReportedState.ACTIVE))
        if active is not None and any(order.state is not ReportedState.ACTIVE for order in active):
            self._add(
                "me/getchildorders ignores child_order_state", "only ACTIVE orders", "others as well", is_grave=True
            )
        await self._check_pages("me/getexecutions")
        await self._told("me/getpositions", http.get_positions())
        rate = await self._told(
            "me/gettradingcommission", http.ask("me/gettradingcommission", product_code=self._product)
        )
        if isinstance(rate, dict) and rate.get("commission_rate") != 0:
            self._add("the commission is not 0", "0 on Crypto CFD", str(rate.get("commission_rate")), is_grave=True)
        if provokes:
            await self._refused(_Refused("me/getcollateral", {}, 401, -500))

    # --- one question

    async def _told(self, path: str, question: Awaitable[_A]) -> _A | None:
        """The answer; a refusal is a deviation."""
        self._forget()
        try:
            return await question
        except VenueError as error:
            self._add(
                f"{path} fails", "an answer that the parser reads", str(error), is_grave=True, example=self._body()
            )
            return None

    async def _refused(self, call: _Refused) -> None:
        """Ask what should be refused."""
        self._forget()
        signs = False if call.http_status == 401 else None
        try:
            await self._http.ask(call.path, is_signed=signs, **call.query)
            code: int | None = None
        except VenueError as error:
            code = error.code
        if self._last is None:
            self._add(f"{call.path} has no answer", f"HTTP {call.http_status}", "none")
        elif (self._last.status, code) != (call.http_status, call.code):
            expected = f"HTTP {call.http_status}" + (f" with code {call.code}" if call.code else "")
            seen = f"HTTP {self._last.status}" + (f" with code {code}" if code else "")
            what = " ".join(call.query.values()) or ("without a signature" if signs is False else "as such")
            self._add(f"the refusal of {call.path} {what}", expected, seen, example=self._body())

    def _forget(self) -> None:
        """The next answer is another question's."""
        self._last = None

    def _body(self) -> str | None:
        return None if self._last is None else f"HTTP {self._last.status}\n{(self._last.text or '')[:400]}"

    # --- what answers say

    def _check_market(self, markets: Any) -> None:
        rows = markets if isinstance(markets, list) else []
        kinds = [
            row.get("market_type") for row in rows if isinstance(row, dict) and self._product == row.get("product_code")
        ]
        if markets is not None and kinds != ["FX"]:
            self._add("the market's type", f"{self._product} once, with market_type FX", str(kinds), example=markets)

    def _check_funding(self, answer: Any) -> None:
        date = answer.get("next_funding_rate_settledate") if isinstance(answer, dict) else None
        hour = date[11:13] if isinstance(date, str) else ""
        if hour.isdigit() and int(hour) not in FUNDING_HOURS:
            hours = " or ".join(map(str, FUNDING_HOURS))
            self._add("the hour of the funding", f"{hours} UTC", hour, example=answer)

    async def _check_pages(self, path: str) -> None:
        """Whether a list obeys ``count``, and ends before ``before``."""
        first = await self._page(path, None)
        if not first:
            return
        if len(first) > _FEW:
            self._add(f"{path} ignores count", f"{_FEW} rows", f"{len(first)} rows", is_grave=True)
        second = await self._page(path, min(first))
        if second and max(second) >= min(first):
            self._add(f"{path} ignores before", "only older rows", "the same ones again", is_grave=True)

    async def _page(self, path: str, before: int | None) -> Sequence[int]:
        rows = await self._told(path, self._http.ask(path, product_code=self._product, count=_FEW, before=before))
        ids = [row.get("id") for row in rows if isinstance(row, dict)] if isinstance(rows, list) else []
        return [number for number in ids if type(number) is int]
