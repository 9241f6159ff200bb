"""The account and key to trade with: from ``accounts.toml``, the environment or a ``.env`` file.

They are never taken from arguments, which other users of the machine could see, and never shown.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Final

from stall_then_strike.infra.accounts_file import XLIGHTER, AccountConfigurationManager
from stall_then_strike.infra.env_file import read_env_file
from stall_then_strike.lighter.dealer_config import KEY_INDEX, PRIVATE_KEY, DealerConfig
from stall_then_strike.lighter.signing.signer import Secret
from stall_then_strike.types.errors import ConfigError

ACCOUNT_VARIABLE: Final = "LIGHTER_ACCOUNT_INDEX"
KEY_VARIABLE: Final = "LIGHTER_API_KEY_INDEX"
PRIVATE_KEY_VARIABLE: Final = "LIGHTER_API_KEY_PRIVATE_KEY"
VARIABLES: Final = (ACCOUNT_VARIABLE, KEY_VARIABLE, PRIVATE_KEY_VARIABLE)


@dataclass(frozen=True, slots=True, kw_only=True)
class LighterAccount:
    """An account with an API key of it. The key does not show in ``repr``."""

    base_url: str
    account_index: int
    api_key_index: int
    private_key: Secret = field(repr=False)
    source: str = field(default="given", compare=False)
    """Where they were found, as text."""

    @property
    def fingerprint(self) -> str:
        """Twelve hex digits for the account at this venue, whatever its key."""
        return sha256(f"{self.base_url} {self.account_index}".encode()).hexdigest()[:12]

    def redact(self, text: str) -> str:
        """Remove the key from a text."""
        plain = str.__str__(self.private_key)
        return text.replace(plain, "***").replace(plain.removeprefix("0x"), "***")


def load_lighter_account(base_url: str, *, account: str = "", chosen_by: str = "account.name") -> LighterAccount:
    """The account of that name in ``accounts.toml``; without a name as `account_config` has it. Raises ConfigError."""
    dealer, source = _found(base_url, None, account, Path(".env"), os.environ, chosen_by)
    [(key, secret)] = dealer.keys().items()
    return LighterAccount(
        base_url=dealer.base_url,
        account_index=dealer.account_index,
        api_key_index=key,
        private_key=secret,
        source=source,
    )


def account_config(base_url: str, symbol: str | None = None, *, account: str = "") -> DealerConfig:
    """Settings of a dealer for that account, without a random delay between its calls.

    ``account`` is a name in ``accounts.toml``. Without one, the variables count; if none is set, the only account of
    Lighter in that file. Raises ConfigError, which names variable or key, never a secret.
    """
    return _found(base_url, symbol, account, Path(".env"), os.environ, "--account")[0]


def _found(
    base_url: str, symbol: str | None, account: str, env_file: Path, environ: Mapping[str, str], chosen_by: str
) -> tuple[DealerConfig, str]:
    """Settings of the account, and where it was found."""
    if account:
        return _of_account(AccountConfigurationManager(), base_url, symbol, account, chosen_by)
    in_file = read_env_file(env_file, f"a file with {', '.join(f'{name}=' for name in VARIABLES)}")
    found = {name: environ.get(name) or in_file.get(name) or "" for name in VARIABLES}
    missing = [name for name in VARIABLES if not found[name]]
    if len(missing) == len(VARIABLES) and (accounts := AccountConfigurationManager()).of_exchange(XLIGHTER):
        return _of_account(accounts, base_url, symbol, "", chosen_by)
    if missing:
        raise ConfigError(
            f"{' and '.join(missing)}: neither in the environment nor in {env_file.absolute()}; "
            "accepted: index of the account, index of its API key, private key of that, as lines NAME=VALUE of .env"
        )
    try:
        dealer = DealerConfig(
            base_url=base_url,
            account_index=_whole(ACCOUNT_VARIABLE, found[ACCOUNT_VARIABLE]),
            api_keys=[{KEY_INDEX: _whole(KEY_VARIABLE, found[KEY_VARIABLE]), PRIVATE_KEY: found[PRIVATE_KEY_VARIABLE]}],
            symbol=symbol,
            jitter_ms=(0, 0),
        )
    except ConfigError as error:
        raise ConfigError(str(error).replace(f"api_keys[0].{PRIVATE_KEY}", PRIVATE_KEY_VARIABLE)) from None
    return dealer, "the environment" if all(environ.get(name) for name in VARIABLES) else str(env_file)


def _of_account(
    accounts: AccountConfigurationManager, base_url: str, symbol: str | None, name: str, chosen_by: str
) -> tuple[DealerConfig, str]:
    found = accounts.get_exchange_credentials(XLIGHTER, name, chosen_by=chosen_by)
    dealer = DealerConfig.from_account(found, base_url, symbol=symbol, jitter_ms=(0, 0))
    return dealer, f"account {found.name!r} of {accounts.path}"


def _whole(name: str, text: str) -> int:
    if not (text.isascii() and text.isdigit()):
        raise ConfigError(f"{name}: not a whole number (its value is not shown); accepted: an index such as 4")
    return int(text)
