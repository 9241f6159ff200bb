"""``sts console``: a run in the browser, seen and commanded, from a process of its own on the loopback address."""

from __future__ import annotations

import argparse
import asyncio
import ipaddress
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from stall_then_strike.app.shell import cli
from stall_then_strike.app.shell.command import EXIT_DONE, EXIT_FAILED, command
from stall_then_strike.app.shell.command_parser import command_parser
from stall_then_strike.app.shell.flag_values import port
from stall_then_strike.app.web.sessions import Sessions, new_token
from stall_then_strike.types.errors import ConfigError

VARIABLE: Final = "STS_CONSOLE_TOKEN"
PORT: Final = 8787


def parser() -> argparse.ArgumentParser:
    """The command's arguments."""
    flags = command_parser(
        "console",
        "Show and command the run of a log folder in the browser.",
        ("", f"the run of ./logs, at http://127.0.0.1:{PORT}"),
        ("--run 20261130T192204Z --port 9000", "one of several runs, at another port"),
        ("--allow-host trader.example.ts.net", "also under the name of a tunnel"),
        codes={0: "stopped", 1: "failed while running", 2: "bad arguments, or the extra console is not installed"},
        more=f"The token to log in is printed at the start, unless {VARIABLE} has one.",
    )
    cli.add_log_dir(flags, "log folder of the run")
    flags.add_argument(
        "--run",
        metavar="NAME",
        help="run of the log folder, by its name or a unique beginning of it, and later ones of its kind (default: the "
        "newest that is running)",
    )
    cli.add_config_flags(flags, override="configs/live.yml")
    flags.add_argument("--port", type=port, default=PORT, help="port (default: %(default)s; 0: any free one)")
    flags.add_argument("--host", default="127.0.0.1", help="address to listen at (default: %(default)s)")
    flags.add_argument(
        "--open-to-network",
        action="store_true",
        help="allow a --host beyond this machine: whoever has the token then commands your money, unencrypted",
    )
    flags.add_argument(
        "--allow-host",
        metavar="NAME",
        action="append",
        default=[],
        help="another name by which browsers may ask, such as a tunnel's; may be repeated",
    )
    return flags


@command("console")
def main(argv: Sequence[str] | None = None) -> int:
    """Run and return the exit code."""
    args = parser().parse_args(argv)
    try:
        _check_address(args)
        given = os.environ.get(VARIABLE, "")
        token = given or new_token()
        try:
            sessions = Sessions(token)
        except ConfigError as error:
            raise ConfigError(f"{VARIABLE}: {error}") from error
        with cli.extra_needed("console"):
            from stall_then_strike.app.web.serving import Wanted, serve
        cfg = cli.load(args, cli.CONFIGS / "live.yml", takes_several=True)
        _look_at(args.log_dir)
        names = (*args.allow_host, *(() if args.host == "127.0.0.1" else (args.host,)))
        wanted = Wanted(
            log_dir=args.log_dir,
            run=args.run,
            cfg=cfg,
            why_flags=_why_flags(args),
            host=args.host,
            port=args.port,
            names=names,
        )
        with cli.signals_held():
            asyncio.run(serve(wanted, sessions, lambda address: _tell(address, "" if given else token)))
    except OSError as error:
        sys.stderr.write(f"console: {args.host}:{args.port}: {error.strerror or error}\n")
        return EXIT_FAILED
    return EXIT_DONE


def _why_flags(args: argparse.Namespace) -> tuple[str, ...]:
    """The log folder and the settings, as ``why`` takes them."""
    config = () if args.config is None else ("--config", str(args.config))
    sets = [part for text in args.sets for part in ("--set", text)]
    return ("--log-dir", str(args.log_dir), "--base", str(args.base), *config, *sets)


def _tell(address: str, token: str) -> None:
    """Say where it is; the token only here and only once."""
    sys.stdout.write(f"console: {address}  (Ctrl-C ends it; the run goes on)\n")
    if token:
        sys.stdout.write(f"token: {token}\n")
    sys.stdout.flush()


def _look_at(log_dir: Path) -> None:
    """Say it if there is no log folder yet. Raises ConfigError for one that cannot be read."""
    try:
        next(log_dir.iterdir(), None)
    except FileNotFoundError:
        sys.stderr.write(f"console: {log_dir} does not exist yet: its first run is shown once there is one\n")
    except OSError as error:
        raise ConfigError(
            f"--log-dir {log_dir}: cannot be read: {error.strerror}; accepted: a folder of runs"
        ) from None


def _check_address(args: argparse.Namespace) -> None:
    """Raises ConfigError for an address that others can reach, unless that is wanted."""
    try:
        address = ipaddress.ip_address(args.host)
    except ValueError as error:
        raise ConfigError(f"--host {args.host}: accepted: an IP address") from error
    if address.is_loopback:
        return
    if not args.open_to_network:
        raise ConfigError(
            f"--host {args.host} is reached by others; accepted: 127.0.0.1 and a tunnel, or --open-to-network as well"
        )
    sys.stderr.write(
        f"console: WARNING: listening at {args.host}, unencrypted: whoever reads the traffic or has the token commands "
        "this run\n"
    )


if __name__ == "__main__":
    sys.exit(main())
