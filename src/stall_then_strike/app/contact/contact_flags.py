"""What the commands of first contact have in common: the venue, the account, the report's file."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from stall_then_strike.config.models import AppConfig
from stall_then_strike.config.venue import LIGHTER
from stall_then_strike.infra.bitflyer.credentials import is_venue_host
from stall_then_strike.infra.clock import SystemClock
from stall_then_strike.types.errors import ConfigError
from stall_then_strike.types.text import utc_iso
from stall_then_strike.venues.choice import venue_of
from stall_then_strike.venues.findings import address_finding
from stall_then_strike.venues.lighter_checks import is_lighter_host


def add_report_flag(flags: argparse.ArgumentParser, kind: str) -> None:
    """``--report``."""
    flags.add_argument(
        "--report", metavar="FILE", type=Path, help=f"where the report goes (default: {kind}-TIME.md in this folder)"
    )


def claim_report(named: Path | None, kind: str) -> Path:
    """Make the report's file at the start, so that one that cannot be written is told before the venue is asked.

    Raises ConfigError, also for a file that exists: it is not replaced.
    """
    stamp = utc_iso(SystemClock().now_ns())[:19].replace("-", "").replace(":", "")
    path = Path(f"{kind}-{stamp}Z.md") if named is None else named
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch(exist_ok=False)
    except FileExistsError:
        raise ConfigError(f"--report {path} exists; accepted: a new file") from None
    except OSError as error:
        raise ConfigError(f"--report {path}: {error.strerror}; accepted: a file that can be written") from None
    return path


def venue_account(cfg: AppConfig, otherwise: str = "") -> Any:
    """The account of the settings, for an address that its keys are used at. Raises ConfigError.

    ``otherwise`` is added to what it says when there are no keys.
    """
    if cfg.exchange.name == LIGHTER:
        address = address_finding(cfg, "Lighter", is_lighter_host, "tokens")
    else:
        address = address_finding(cfg, "bitFlyer", is_venue_host, "keys")
    if address.exit_code:
        raise ConfigError(f"{address.text}; accepted: {address.advice}")
    try:
        return venue_of(cfg).account(cfg)
    except ConfigError as error:
        raise ConfigError(f"{error}{otherwise}") from None
