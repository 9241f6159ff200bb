"""What the commands share: their common flags, and errors as exit codes.

Exit codes: 0 done, or stopped by a signal in good order; 1 runtime failure; 2 bad configuration or arguments, before
anything is sent; 3 halted by the kill switch.
"""

from __future__ import annotations

import argparse
import math
from pathlib import Path
from typing import Final

from stall_then_strike.config.loader import load_app_config
from stall_then_strike.config.models import AppConfig

EXIT_DONE: Final = 0
EXIT_FAILED: Final = 1
EXIT_USAGE: Final = 2
EXIT_HALTED: Final = 3

CONFIGS: Final = Path("configs")


def add_common_flags(parser: argparse.ArgumentParser, *, override: str) -> None:
    """Flags that every trading command has; ``override`` describes the default of ``--config``."""
    parser.add_argument("--config", metavar="FILE", type=Path, help=f"override on the base file (default: {override})")
    parser.add_argument(
        "--base", metavar="FILE", type=Path, default=CONFIGS / "base.yml", help="base file (default: %(default)s)"
    )
    parser.add_argument(
        "--set",
        metavar="KEY.PATH=VALUE",
        action="append",
        default=[],
        dest="sets",
        help="set one key, such as strategy.ttl_ms=500; may be repeated",
    )
    parser.add_argument("--check", action="store_true", help="print the effective configuration and exit")
    parser.add_argument(
        "--log-dir", metavar="DIR", type=Path, default=Path("logs"), help="folder of all logs (default: %(default)s)"
    )
    parser.add_argument(
        "--duration", metavar="SECONDS", type=positive_seconds, help="stop after so long, in the run's own time"
    )


def load(args: argparse.Namespace, default_override: Path) -> AppConfig:
    """Read the configuration that the flags name. Raises ConfigError."""
    return load_app_config(args.base, args.config or default_override, args.sets)


def positive_seconds(text: str) -> float:
    """A positive, finite number of seconds, for argparse."""
    value = _float(text)
    if not 0 < value < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r} is not a duration; accepted: seconds above 0")
    return value


def speed(text: str) -> float:
    """A speed for argparse: a positive factor, or infinity for ``max``."""
    value = math.inf if text == "max" else _float(text)
    if not value > 0 or (math.isinf(value) and text != "max"):
        raise argparse.ArgumentTypeError(f"{text!r} is not a speed; accepted: a factor above 0, or max")
    return value


def _float(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan
