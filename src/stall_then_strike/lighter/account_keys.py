"""The account and key that commands trade with: from the environment, or else from a ``.env`` file.

They are never taken from arguments, which other users of the machine could see, and never shown.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from stall_then_strike.infra.env_file import read_env_file
from stall_then_strike.lighter.dealer_config import KEY_INDEX, PRIVATE_KEY, DealerConfig
from stall_then_strike.types.errors import ConfigError

ACCOUNT_VARIABLE: Final = "LIGHTER_ACCOUNT_INDEX"
KEY_VARIABLE: Final = "LIGHTER_API_KEY_INDEX"
PRIVATE_KEY_VARIABLE: Final = "LIGHTER_API_KEY_PRIVATE_KEY"
VARIABLES: Final = (ACCOUNT_VARIABLE, KEY_VARIABLE, PRIVATE_KEY_VARIABLE)


def account_config(
    base_url: str, symbol: str | None = None, *, env_file: Path = Path(".env"), environ: Mapping[str, str] = os.environ
) -> DealerConfig:
    """Settings of a dealer for that account, without a random delay between its calls.

    Raises ConfigError, which names the variable, never a secret.
    """
    in_file = read_env_file(env_file, f"a file with {', '.join(f'{name}=' for name in VARIABLES)}")
    found = {name: environ.get(name) or in_file.get(name) or "" for name in VARIABLES}
    if missing := [name for name in VARIABLES if not found[name]]:
        raise ConfigError(
            f"{' and '.join(missing)}: neither in the environment nor in {env_file.absolute()}; "
            "accepted: index of the account, index of its API key, private key of that (.env.example shows the form)"
        )
    try:
        return DealerConfig(
            base_url=base_url,
            account_index=_whole(ACCOUNT_VARIABLE, found[ACCOUNT_VARIABLE]),
            api_keys=[{KEY_INDEX: _whole(KEY_VARIABLE, found[KEY_VARIABLE]), PRIVATE_KEY: found[PRIVATE_KEY_VARIABLE]}],
            symbol=symbol,
            jitter_ms=(0, 0),
        )
    except ConfigError as error:
        raise ConfigError(str(error).replace(f"api_keys[0].{PRIVATE_KEY}", PRIVATE_KEY_VARIABLE)) from None


def _whole(name: str, text: str) -> int:
    if not (text.isascii() and text.isdigit()):
        raise ConfigError(f"{name}: not a whole number (its value is not shown); accepted: an index such as 4")
    return int(text)
