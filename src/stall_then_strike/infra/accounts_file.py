"""``accounts.toml``: several accounts, each with its exchange's own fields.

The file is ``accounts.toml`` in the current folder, or where ``STALL_ACCOUNTS_FILE`` says. Nobody but its owner may
read it. No value of it is ever shown except names: an error names file, account and key.
"""

from __future__ import annotations

import os
import re
import stat
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Final, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr, ValidationError, model_validator

from stall_then_strike.config.fields import is_secret
from stall_then_strike.types.errors import ConfigError

FILE_VARIABLE: Final = "STALL_ACCOUNTS_FILE"
BITFLYER: Final = "BITFLYER"
XLIGHTER: Final = "XLIGHTER"
_ALIASES: Final = {"LIGHTER": XLIGHTER}
_OTHERS: Final = 0o077
_MOST_BYTES: Final = 1_000_000
_ENTRY: Final = "accepted: one table [[accounts]] for each account, with name, exchange, api_key and secret"
_WORDS: Final[Mapping[str, str]] = {
    "name": "a text, different for each account",
    "exchange": f"{BITFLYER}, {XLIGHTER} or another exchange's name",
    "api_key": "the venue's text in quotes, printable ASCII without blanks",
    "secret": "the venue's text in quotes, printable ASCII without blanks",
    "account_index": "a whole number from 0 to 281474976710654, without quotes",
    "api_key_index": "a whole number from 0 to 254, without quotes",
    "base_currency": 'a text such as "USDC"',
}


def exchange_named(text: str) -> str:
    """The exchange's name in capitals; ``LIGHTER`` is another name of ``XLIGHTER``."""
    name = text.upper()
    return _ALIASES.get(name, name)


def _as_given(value: SecretStr) -> SecretStr:
    text = value.get_secret_value()
    if not text or not all("!" <= character <= "~" for character in text):
        raise ValueError("unusable")
    return value


_Text = Annotated[str, Field(min_length=1, max_length=100)]
_Key = Annotated[SecretStr, AfterValidator(_as_given)]


class ExchangeCredentials(BaseModel):
    """One account. Fields that are not declared here are kept with the type that TOML gives them."""

    model_config = ConfigDict(frozen=True, strict=True, extra="allow", hide_input_in_errors=True)

    name: _Text
    exchange: Annotated[_Text, AfterValidator(exchange_named)]
    api_key: _Key
    """bitFlyer: the API key. Lighter: the account's Ethereum address, which trading does not need."""
    secret: _Key
    """bitFlyer: the API secret. Lighter: the private key of the API key ``api_key_index``."""
    account_index: int | None = Field(default=None, ge=0, le=2**48 - 2)
    """Lighter: the account's number."""
    api_key_index: int | None = Field(default=None, ge=0, le=254)
    """Lighter: which of the account's API keys."""
    base_currency: _Text | None = None

    def __repr__(self) -> str:
        """Name and exchange alone."""
        return f"ExchangeCredentials({self.name!r}, {self.exchange})"

    __str__ = __repr__

    def get_extra_field(self, name: str, default: Any = None) -> Any:
        """A field beyond those that every account has; a SecretStr if its name says that it is a secret."""
        found = (self.model_extra or {}).get(name, getattr(self, name, None) if name in _WORDS else None)
        return default if found is None else found

    @model_validator(mode="before")
    @classmethod
    def _hidden(cls, given: Any) -> Any:
        """Wrap unknown fields that look like secrets, so that no dump shows them."""
        if not isinstance(given, dict):
            return given
        return {
            key: SecretStr(value) if key not in _WORDS and isinstance(value, str) and is_secret(key) else value
            for key, value in given.items()
        }

    @model_validator(mode="after")
    def _has_what_its_exchange_needs(self) -> Self:
        if self.exchange == XLIGHTER:
            for key in ("account_index", "api_key_index"):
                if getattr(self, key) is None:
                    raise ValueError(key)
        return self


class AccountConfigurationManager:
    """The accounts of one file; none if there is no file."""

    def __init__(self, path: Path | None = None) -> None:
        """Read the file. Raises ConfigError."""
        self.path: Final = path or Path(os.environ.get(FILE_VARIABLE) or "accounts.toml")
        self._is_there: Final = os.path.lexists(self.path)
        self.accounts: Final = tuple(_read(self.path)) if self._is_there else ()

    def of_exchange(self, exchange: str) -> tuple[ExchangeCredentials, ...]:
        """All accounts of an exchange, in the order of the file."""
        wanted = exchange_named(exchange)
        return tuple(account for account in self.accounts if account.exchange == wanted)

    def get_exchange_credentials(
        self, exchange: str, name: str = "", *, chosen_by: str = "account.name"
    ) -> ExchangeCredentials:
        """The account of that name, or without a name the exchange's only one.

        Raises ConfigError, which names ``chosen_by`` as the place where a name is given.
        """
        listed = self.of_exchange(exchange)
        names = ", ".join(repr(account.name) for account in listed)
        accepted = names or f"an account of {exchange_named(exchange)} in that file (accounts.example.toml shows one)"
        if name:
            for account in listed:
                if account.name == name:
                    return account
            lacks = f"no such account of {exchange_named(exchange)} in" if self._is_there else "there is no file"
            raise ConfigError(f"{chosen_by}: {name!r}: {lacks} {self.path.absolute()}; accepted: {accepted}")
        if len(listed) == 1:
            return listed[0]
        if listed:
            raise ConfigError(f"{chosen_by}: not given, and {self.path} has {len(listed)}; accepted: {names}")
        raise ConfigError(f"{self.path.absolute()}: no account of {exchange_named(exchange)}; accepted: {accepted}")


def _read(path: Path) -> list[ExchangeCredentials]:
    entries = _entries(path)
    found: list[ExchangeCredentials] = []
    for number, entry in enumerate(entries, 1):
        account, problem = _account(entry)
        if account is None:
            raise ConfigError(f"{path}: account {number}{_called(entry)}: {problem}")
        if any(other.name == account.name for other in found):
            raise ConfigError(f"{path}: account {number}: name: {account.name!r} is given twice; {_ENTRY}")
        found.append(account)
    return found


def _account(entry: object) -> tuple[ExchangeCredentials | None, str]:
    """The account, or else what is wrong with the entry, in words without a value."""
    try:
        return ExchangeCredentials.model_validate(entry), ""
    except ValidationError as error:
        [first, *_] = error.errors(include_input=False, include_url=False)
    key = str(first["loc"][0]) if first["loc"] else ""
    if not key:  # the whole entry: not a table, or a field that its exchange needs
        key = str(first.get("ctx", {}).get("error", ""))
        if key not in _WORDS:
            return None, f"is not a table; {_ENTRY}"
        return None, f"{key}: is missing, and {XLIGHTER} needs it; accepted: {_WORDS[key]}"
    wrong = "is missing" if first["type"] == "missing" else "is not usable (its value is not shown)"
    return None, f"{key}: {wrong}; accepted: {_WORDS.get(key, 'another value')}"


def _called(entry: object) -> str:
    name = entry.get("name") if isinstance(entry, dict) else None
    return f" ({name!r})" if isinstance(name, str) and 0 < len(name) <= 100 else ""


def _entries(path: Path) -> Sequence[object]:
    text, place = _text(path), ""
    tree: dict[str, Any] = {}
    try:
        tree = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:  # its text may show a character or a key
        found = re.search(r"\(at (line \d+, column \d+|end of document)\)", str(error))
        place = found[1] if found else "somewhere"
    if place:
        raise ConfigError(f"{path}: {place}: is not TOML; texts stand in quotes; {_ENTRY}")
    if unknown := sorted(tree.keys() - {"accounts"}):
        raise ConfigError(f"{path}: unknown key {unknown[0]!r}; {_ENTRY}")
    entries = tree.get("accounts")
    if not isinstance(entries, list):
        raise ConfigError(f"{path}: accounts: is missing or not a list of tables; {_ENTRY}")
    return entries


def _text(path: Path) -> str:
    """The file's text. Raises ConfigError, also if others than its owner may read or write it."""
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            raise ConfigError(f"{path}: is not a file; {_ENTRY}")
        if stat.S_IMODE(status.st_mode) & _OTHERS:
            raise ConfigError(f"{path}: other users may read or change it; accepted: chmod 600 {path}")
        if status.st_size > _MOST_BYTES:
            raise ConfigError(f"{path}: {status.st_size} bytes; accepted: at most {_MOST_BYTES}")
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:  # its message would show the bytes around the error
        failure = "is not UTF-8; accepted: a text file"
    except OSError as error:
        failure = f"cannot be read: {error.strerror}; accepted: a file that this user may read"
    raise ConfigError(f"{path}: {failure}")
