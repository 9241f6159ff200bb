"""What commands that serve an exchange on loopback share: flags, the fault plan, the port, words about faults."""

from __future__ import annotations

import argparse
import math
import sys
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from pathlib import Path
from typing import Any, Final

from stall_then_strike.app.shell import cli
from stall_then_strike.app.shell.flag_values import port, positive_seconds
from stall_then_strike.sim.faults.catalogue import RECIPES, Recipes, random_plan
from stall_then_strike.sim.faults.injector import FaultInjector
from stall_then_strike.sim.faults.kinds import FaultPlan, FaultVenue
from stall_then_strike.sim.faults.plan_file import load_fault_plan
from stall_then_strike.sim.hub import address
from stall_then_strike.types.errors import ConfigError

_CHAOS_S: Final = 600.0
"""Length of a chaos plan when the run has no known end."""


def add_address(flags: argparse.ArgumentParser) -> None:
    """Add ``--host`` and ``--port``."""
    flags.add_argument("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
    flags.add_argument(
        "--port", metavar="N", type=port, default=0, help="port to listen on (default: 0, the system chooses)"
    )


def add_duration(flags: argparse.ArgumentParser) -> None:
    """Add ``--duration``."""
    flags.add_argument(
        "--duration", metavar="SECONDS", type=positive_seconds, help="stop after this time, in real seconds"
    )


def add_faults(flags: argparse.ArgumentParser, sample: str) -> None:
    """Add ``--faults`` and ``--chaos``, of which one may be given."""
    trouble = flags.add_argument_group("faults").add_mutually_exclusive_group()
    trouble.add_argument("--faults", metavar="FILE", type=Path, help=f"file with a plan of faults (sample: {sample})")
    trouble.add_argument(
        "--chaos",
        metavar="SEED",
        type=int,
        help="random faults from a seed, in the first two thirds of the run (without --duration: of ten minutes)",
    )


def read_faults(
    args: argparse.Namespace, venue: FaultVenue = FaultVenue.BITFLYER, recipes: Recipes = RECIPES
) -> FaultPlan | None:
    """The plan that the flags ask for. Raises ConfigError for the file, and for a run that is too short for chaos."""
    if args.faults is not None:
        try:
            return load_fault_plan(cli.settings_file(args.faults), venue)
        except ConfigError as error:
            raise ConfigError(f"--faults {error}") from error
    if args.chaos is None:
        return None
    has_end = args.duration is not None and not math.isinf(args.speed)
    try:
        return random_plan(args.chaos, args.duration * args.speed if has_end else _CHAOS_S, recipes=recipes)
    except ValueError as error:
        raise ConfigError(f"--chaos {error} of the exchange's time (--duration times --speed)") from error


async def is_listening(
    stack: AsyncExitStack, exchange: AbstractAsyncContextManager[Any], command: str, args: argparse.Namespace
) -> bool:
    """Enter the exchange's context; if its port is not available, say so and return False."""
    try:
        await stack.enter_async_context(exchange)
    except OSError as error:
        where = address(args.host, args.port)
        sys.stderr.write(f"{command}: cannot listen on {where}: {error.strerror or error}\n")
        return False
    return True


def tell_struck(faults: FaultInjector) -> None:
    """Say which faults struck, and how often."""
    struck = ", ".join(f"{name} {number}" for name, number in sorted(faults.struck.items()))
    sys.stdout.write(f"faults that struck: {struck or 'none'}\n")
