"""Makes examples fit to be shown to others: no secrets, no ids of the account, no amounts of money it has.

What is masked keeps its form, because the form may be what deviates: digits become 0 and letters x, except the letters
an order's id begins and ends with. Equal ids get equal marks: the digits at the end count the ids.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any, Final

LONGEST: Final = 900
"""Characters of an example."""
_SHOWN_ITEMS: Final = 2
_ORDER: Final = re.compile(r"\bJ[A-Z]{2}\d{6,8}-\d{4,6}-\d+F?\b")
_ID_FIELDS: Final = re.compile(
    r"(^|_)ids?(_str|_\d)?$|^key$|api_key|signature|nonce|index$|^account$|address|hash$|public_key|info$",
    re.IGNORECASE,
)
_PUBLIC_IDS: Final = frozenset(
    {"tick_id", "market_id", "market_index", "asset_id", "base_asset_id", "quote_asset_id", "begin_nonce"}
)
_COUNTED: Final = "nonce"
"""A number of this name counts a book's messages or an account's transactions; only as a text may it be of a login."""
_MONEY: Final = frozenset(
    {
        *("collateral", "open_position_pnl", "require_collateral", "margin_call_amount", "amount", "available", "pnl"),
        *("swap_point_accumulate", "change", "balance", "locked_balance", "margin_balance", "available_balance"),
        *("portfolio_value", "buying_power", "position", "position_value", "unrealized_pnl", "realized_pnl"),
        *("avg_entry_price", "liquidation_price", "total_asset_value", "cross_asset_value"),
        *("cross_initial_margin_requirement", "cross_maintenance_margin_requirement", "position_size"),
    }
)
_DIGIT: Final = re.compile(r"\d")
_LETTER: Final = re.compile(r"[A-Za-z]")


class Masking:
    """Masks texts and parsed messages."""

    def __init__(self, redact: Callable[[str], str] = str) -> None:
        """``redact`` takes key and secret out of a text."""
        self._redact = redact
        self._marks: dict[str, str] = {}

    def text(self, text: str) -> str:
        """A text without secrets, and with masked ids of orders."""
        shown = "".join(c if c.isprintable() or c == "\n" else "?" for c in self._redact(text))
        return _ORDER.sub(lambda found: self._mark(found[0]), shown)

    def example(self, value: object) -> str:
        """A message as a text for the report: masked, with long lists cut."""
        if isinstance(value, str):
            said = self.text(value)
        else:
            try:
                said = self._redact(json.dumps(self._masked(value, ""), ensure_ascii=False, default=str))
            except (ValueError, RecursionError):
                said = "(cannot be shown)"
        return said if len(said) <= LONGEST else f"{said[:LONGEST]} ... {len(said) - LONGEST:,} more characters"

    def _masked(self, value: Any, field: str) -> Any:
        if isinstance(value, dict):
            return {name: self._masked(item, name) for name, item in value.items()}
        if isinstance(value, list):
            shown = [self._masked(item, field) for item in value[:_SHOWN_ITEMS]]
            return shown if len(value) <= _SHOWN_ITEMS else [*shown, f"... {len(value) - _SHOWN_ITEMS} more"]
        is_public = field in _PUBLIC_IDS or (field == _COUNTED and type(value) is int)
        is_id = not is_public and _ID_FIELDS.search(field) is not None
        if isinstance(value, str) and is_id:
            return self._mark(value)
        if type(value) in (int, float) and (is_id or field in _MONEY) and value:
            return int(_DIGIT.sub("9", repr(value))) if type(value) is int else "(an amount)"
        if isinstance(value, str) and field in _MONEY:
            return _DIGIT.sub("9", value)
        return self.text(value) if isinstance(value, str) else value

    def _mark(self, name: str) -> str:
        """The mark of an id, which has its form."""
        mark = self._marks.get(name)
        if mark is None:
            digits = len(_DIGIT.findall(name))
            number = str(len(self._marks) + 1).zfill(digits)[-digits:] if digits else ""
            counted = iter(number)
            is_order = _ORDER.fullmatch(name) is not None
            mark = _DIGIT.sub(lambda _: next(counted), name if is_order else _LETTER.sub("x", name))
            if len(self._marks) < 10_000:
                self._marks[name] = mark
        return mark
