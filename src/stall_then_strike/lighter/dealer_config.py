"""The dealer's settings: checked when made, and silent about secrets.

Field names and defaults are those of the specification. Where it leaves the meaning open, the docstrings say what holds
here. Secrets are kept as texts that ``repr`` does not show, on their own or within ``api_keys``.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from stall_then_strike.infra.accounts_file import ExchangeCredentials
from stall_then_strike.lighter.markets import Market
from stall_then_strike.lighter.signing.signer import Secret
from stall_then_strike.types.errors import ConfigError

SECTION: Final = "Lighter"
KEY_INDEX: Final = "api_key_index"
PRIVATE_KEY: Final = "api_key_private_key"
KEY_MOST: Final = 254
"""Largest index of an API key; 255 means "all". Keys 0 to 3 belong to the venue's own clients, but any is accepted."""
_HEX: Final = re.compile(r"(0x)?[0-9a-fA-F]{80}")
_TOKENS: Final = re.compile(r'"(?:\\.|[^"\\])*"|//[^\n]*|/\*.*?\*/', re.DOTALL)


@dataclass(kw_only=True)
class DealerConfig:
    """Settings of one dealer. Raises ConfigError, which names the field and what is accepted, never a secret."""

    base_url: str
    """Address of the API, such as ``https://mainnet.zklighter.elliot.ai``."""
    account_index: int
    l1_private_key: str = field(default="", repr=False)
    """Kept for compatibility. Trading never needs it: it signs only key changes, transfers and withdrawals."""
    api_keys: list[dict[str, Any]]
    """One or more of ``{"api_key_index": int, "api_key_private_key": str}``."""
    use_websocket: bool = True
    """True: orders wait in a queue until ``flush``, which sends them as a REST batch. False: each is sent at once."""
    max_ws_batch: int = 20
    """Queue length at which ``flush`` happens by itself. More than the venue takes at once goes out as several."""
    standard_account: bool = True
    """Plan that the rate limiter goes by: True 60 requests a minute, False a weight of 24,000."""
    ip_weight_per_minute: int | None = None
    """Replaces the plan's number: requests of a standard account, weight of a premium one."""
    jitter_ms: tuple[int, int] = (50, 150)
    """Bounds of the random delay before each call, in milliseconds."""
    market_index: int | None = 0
    symbol: str | None = None
    """If given, it decides ``market_index``."""
    size_scale: int | None = None
    """BaseAmount of a size of one, 10000 for ETH. If given, it must be the market's."""
    price_scale: int | None = None
    """Price of one USDC, 100 for ETH. If given, it must be the market's."""
    prefer_high_level: bool = False
    """True: each order is sent at once, whatever ``use_websocket`` says."""
    base_scale: int | None = field(default=None, repr=False)
    """Older name of ``size_scale``."""

    def __post_init__(self) -> None:
        """Check everything."""
        self.base_url = checked_address(self.base_url)
        _require_whole("account_index", self.account_index, 0, 2**48 - 2)
        if not isinstance(self.l1_private_key, str):
            raise ConfigError("l1_private_key: not a text; accepted: the key as hex, or nothing")
        self.l1_private_key = Secret(self.l1_private_key)
        self.api_keys = _checked_keys(self.api_keys)
        for name in ("use_websocket", "standard_account", "prefer_high_level"):
            if not isinstance(getattr(self, name), bool):
                raise ConfigError(f"{name}: {getattr(self, name)!r}; accepted: true or false")
        _require_whole("max_ws_batch", self.max_ws_batch, 1, 10_000)
        if self.ip_weight_per_minute is not None:
            _require_whole("ip_weight_per_minute", self.ip_weight_per_minute, 1, 10_000_000)
        self.jitter_ms = _checked_jitter(self.jitter_ms)
        self._check_market()

    def keys(self) -> dict[int, Secret]:
        """Private keys by index, in the order given."""
        return {entry[KEY_INDEX]: entry[PRIVATE_KEY] for entry in self.api_keys}

    def require_scales(self, market: Market) -> None:
        """Raise ConfigError if a given scale is not the market's: each order would be wrong by powers of ten."""
        for name, given, real in (
            ("size_scale", self.size_scale, market.size_scale),
            ("price_scale", self.price_scale, market.price_scale),
        ):
            if given is not None and given != real:
                raise ConfigError(f"{name}: {given} is wrong for {market.symbol}; accepted: {real}, or nothing")

    @classmethod
    def from_file(cls, path: Path, symbol: str | None = None) -> DealerConfig:
        """Read JSON, at top level or in a section ``Lighter``, with ``//`` and ``/* */`` comments.

        ``symbol`` is for a file that names no market. Raises ConfigError.
        """
        section, where = _section(path)
        known = {item.name for item in fields(cls)}
        if unknown := sorted(section.keys() - known):
            raise ConfigError(f"{where}: unknown key {unknown[0]!r}; accepted: {', '.join(sorted(known))}")
        if missing := sorted({"base_url", "account_index", "api_keys"} - section.keys()):
            raise ConfigError(f"{where}: {missing[0]} is missing; accepted: see docs/lighter.md")
        if section.get("symbol") is None and "market_index" not in section:
            section["symbol"] = symbol
        try:
            return cls(**section)
        except ConfigError as error:
            raise ConfigError(f"{where}: {error}") from None

    @classmethod
    def from_account(cls, account: ExchangeCredentials, base_url: str, **settings: Any) -> DealerConfig:
        """For an account of ``accounts.toml``: its number, and its secret as the one API key.

        ``settings`` are further fields. Raises ConfigError.
        """
        key = {KEY_INDEX: account.api_key_index, PRIVATE_KEY: account.secret.get_secret_value()}
        try:
            return cls(base_url=base_url, account_index=account.account_index or 0, api_keys=[key], **settings)
        except ConfigError as error:
            problem = str(error).replace(f"api_keys[0].{PRIVATE_KEY}", "secret")
        raise ConfigError(f"account {account.name!r} of {account.exchange}: {problem}")

    def _check_market(self) -> None:
        _require_text("symbol", self.symbol)
        if self.market_index is not None:
            _require_whole("market_index", self.market_index, 0, 4094)
        if self.symbol is None and self.market_index is None:
            raise ConfigError("symbol and market_index: neither is given; accepted: one of them")
        if self.base_scale is not None:
            if self.size_scale not in (None, self.base_scale):
                raise ConfigError(f"base_scale: {self.base_scale} differs from size_scale {self.size_scale}")
            self.size_scale = self.base_scale
        for name in ("size_scale", "price_scale"):
            if getattr(self, name) is not None:
                _require_whole(name, getattr(self, name), 1, 10**12)


def checked_address(url: str, name: str = "base_url") -> str:
    """The address of an API without a slash at its end. Raises ConfigError, which names the field."""
    try:
        parts = urlsplit(url)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except (ValueError, AttributeError, TypeError):
        usable = False
    if not usable:
        raise ConfigError(f"{name}: {url!r}; accepted: http:// or https://, a host, perhaps a port")
    return url.rstrip("/")


def _require_whole(name: str, value: object, least: int, most: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        raise ConfigError(f"{name}: {value!r}; accepted: a whole number from {least} to {most}")


def _require_text(name: str, value: object) -> None:
    if value is not None and not (isinstance(value, str) and value):
        raise ConfigError(f"{name}: {value!r}; accepted: a text such as ETH")


def _checked_keys(given: object) -> list[dict[str, Any]]:
    form = f'accepted: a list of {{"{KEY_INDEX}": 0 to {KEY_MOST}, "{PRIVATE_KEY}": 80 hex digits}}'
    if not isinstance(given, list | tuple) or not given:
        raise ConfigError(f"api_keys: not a list, or empty; {form}")
    keys: list[dict[str, Any]] = []
    for number, entry in enumerate(given):
        name = f"api_keys[{number}]"
        if not isinstance(entry, Mapping) or set(entry) != {KEY_INDEX, PRIVATE_KEY}:
            raise ConfigError(f"{name}: a key is missing or too many; {form}")
        index, private = entry[KEY_INDEX], entry[PRIVATE_KEY]
        _require_whole(f"{name}.{KEY_INDEX}", index, 0, KEY_MOST)
        if not isinstance(private, str) or not _HEX.fullmatch(private):
            raise ConfigError(f"{name}.{PRIVATE_KEY}: not a key (its value is not shown); {form}")
        if any(other[KEY_INDEX] == index for other in keys):
            raise ConfigError(f"{name}.{KEY_INDEX}: {index} is given twice; accepted: each index once")
        keys.append({KEY_INDEX: index, PRIVATE_KEY: Secret(private)})
    return keys


def _checked_jitter(given: object) -> tuple[int, int]:
    if isinstance(given, list | tuple) and len(given) == 2:
        low, high = given
        are_whole = all(isinstance(bound, int) and not isinstance(bound, bool) for bound in given)
        if are_whole and 0 <= low <= high <= 10_000:
            return low, high
    raise ConfigError(f"jitter_ms: {given!r}; accepted: two whole numbers, 0 <= low <= high <= 10000")


def _blank(comment: str) -> str:
    return " " + "\n" * comment.count("\n")  # errors name the right line


def _section(path: Path) -> tuple[dict[str, Any], str]:
    """The settings in the file, and where they are. Raises ConfigError."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror}); accepted: a JSON file") from None
    except UnicodeDecodeError:
        raise ConfigError(f"{path}: is not UTF-8; accepted: a JSON file") from None
    try:
        body = json.loads(_TOKENS.sub(lambda found: found[0] if found[0].startswith('"') else _blank(found[0]), text))
    except json.JSONDecodeError as error:  # its text shows none of the document
        raise ConfigError(f"{path}: line {error.lineno}: {error.msg}; accepted: JSON, comments allowed") from None
    where = str(path)
    if isinstance(body, dict) and SECTION in body:
        body, where = body[SECTION], f"{path}: {SECTION}"
    if not isinstance(body, dict):
        raise ConfigError(f"{where}: not an object; accepted: settings of the dealer")
    return dict(body), where
