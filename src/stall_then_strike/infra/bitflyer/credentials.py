"""The API key and its secret: where they come from, and which hosts may receive them.

They are read from the environment, a ``.env`` file or ``accounts.toml``, and never written, logged or shown. The names
of locks and journals identify a key by its fingerprint, from which the key cannot be recovered.

pybotters signs only requests to bitFlyer's host names. :func:`sign_for` adds a host of this machine, for the embedded
exchange, and no other: a signed request to another host would give away the key and a signature.
"""

from __future__ import annotations

import hmac
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Final, TypeVar

import pybotters

from stall_then_strike.infra.accounts_file import BITFLYER, AccountConfigurationManager, ExchangeCredentials
from stall_then_strike.infra.env_file import read_env_file
from stall_then_strike.infra.line.own_machine import is_own_machine
from stall_then_strike.types.errors import ConfigError

KEY_VARIABLE: Final = "BITFLYER_API_KEY"
SECRET_VARIABLE: Final = "BITFLYER_API_SECRET"  # noqa: S105 - the variable's name
API_LABEL: Final = "bitflyer"
"""pybotters' name of the venue."""
_ACCEPTED: Final = "accepted: the text that the venue gave, printable ASCII without blanks"
_OTHERS: Final = 0o077
_ITEM = TypeVar("_ITEM")


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Credentials:
    """A key and its secret. Neither shows in ``repr`` or ``str``."""

    key: str
    secret: str
    source: str = field(default="given", compare=False)
    """Where they were found, as text."""
    is_exposed: bool = field(default=False, compare=False)
    """Whether they came from a file that other users of the machine may read."""

    def __repr__(self) -> str:
        """Identify the key without showing it."""
        return f"Credentials({self.fingerprint})"

    @property
    def fingerprint(self) -> str:
        """The first twelve hex digits of the key's SHA-256."""
        return sha256(self.key.encode()).hexdigest()[:12]

    def mac(self) -> hmac.HMAC:
        """What signs: HMAC-SHA256, in hex, as the venue's REST interface wants it. A text is signed by a copy of it."""
        return hmac.new(self.secret.encode(), digestmod="sha256")

    def apis(self) -> dict[str, list[str]]:
        """In the form of `pybotters.Client`."""
        return {API_LABEL: [self.key, self.secret]}

    def redact(self, text: str) -> str:
        """Remove key and secret from a text of the venue, which may repeat what it was sent."""
        return text.replace(self.secret, "***").replace(self.key, "***")


def load_credentials(env_file: Path = Path(".env"), *, account: str = "") -> Credentials:
    """The account of that name in ``accounts.toml``; without a name, what the environment or the file has.

    An empty value counts as missing, and the environment wins. If neither has anything, the only account of bitFlyer in
    ``accounts.toml`` is taken. Raises ConfigError, which names the variable or key and the file, never a value.
    """
    if account:
        accounts = AccountConfigurationManager()
        return _of_account(accounts, accounts.get_exchange_credentials(BITFLYER, account))
    return _from_variables(env_file)


def _of_account(accounts: AccountConfigurationManager, found: ExchangeCredentials) -> Credentials:
    return Credentials(
        key=found.api_key.get_secret_value(),
        secret=found.secret.get_secret_value(),
        source=f"account {found.name!r} of {accounts.path}",
    )


def _from_variables(env_file: Path) -> Credentials:
    found = read_env_file(env_file, f"a file with {KEY_VARIABLE}= and {SECRET_VARIABLE}=")
    from_file: list[str] = []
    values: list[str] = []
    missing: list[str] = []
    for name in (KEY_VARIABLE, SECRET_VARIABLE):
        value = os.environ.get(name)
        where = f"environment: {name}"
        if not value:
            value, where = found.get(name), f"{env_file}: {name}"
            if not value:
                missing.append(name)
                continue
            from_file.append(name)
        if not all("!" <= character <= "~" for character in value):
            raise ConfigError(f"{where}: contains a blank, or a character that is not ASCII; {_ACCEPTED}")
        values.append(value)
    if len(missing) == 2 and (accounts := AccountConfigurationManager()).of_exchange(BITFLYER):
        return _of_account(accounts, accounts.get_exchange_credentials(BITFLYER))
    if missing:
        raise ConfigError(
            f"{' and '.join(missing)}: neither in the environment nor in {env_file.absolute()}; "
            f"{_ACCEPTED}, as lines NAME=VALUE of .env, or an account of bitFlyer in accounts.toml"
        )
    return Credentials(
        key=values[0],
        secret=values[1],
        source=str(env_file) if len(from_file) == len(values) else "environment" if not from_file else "both",
        is_exposed=bool(from_file) and bool(stat.S_IMODE(env_file.stat().st_mode) & _OTHERS),
    )


def is_venue_host(host: str) -> bool:
    """Whether pybotters knows the host as bitFlyer's, for REST or for the socket."""
    known = pybotters.auth.Hosts.items.get(host), pybotters.ws.AuthHosts.items.get(host)
    return not is_own_machine(host) and any(item is not None and item.name == API_LABEL for item in known)


def may_sign_for(host: str) -> bool:
    """Whether requests to the host are signed: it is bitFlyer's, or certainly this machine."""
    return is_venue_host(host) or is_own_machine(host)


@contextmanager
def sign_for(host: str) -> Iterator[None]:
    """Inside the block, sign requests and logins to this host as for bitFlyer; bitFlyer's own hosts need nothing.

    Blocks for one host may nest. Raises ConfigError for a host that is neither bitFlyer's nor certainly this machine.
    """
    if is_venue_host(host):
        yield
        return
    if not is_own_machine(host):
        raise ConfigError(
            f"{host}: requests to it are not signed; accepted: bitFlyer's hosts, localhost and loopback addresses"
        )
    with (
        _registered(pybotters.auth.Hosts.items, host, pybotters.auth.Item(API_LABEL, pybotters.auth.Auth.bitflyer)),
        _registered(pybotters.ws.AuthHosts.items, host, pybotters.ws.Item(API_LABEL, pybotters.ws.Auth.bitflyer)),
    ):
        yield


@contextmanager
def _registered(items: dict[str | None, _ITEM], host: str, item: _ITEM) -> Iterator[None]:
    before = items.get(host)
    items[host] = item
    try:
        yield
    finally:
        if before is None:
            items.pop(host, None)
        else:
            items[host] = before
