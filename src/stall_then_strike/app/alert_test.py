"""``alert_test``: sends one alert to each address of alerts, and says which took it."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from stall_then_strike.app.shell.command import EXIT_DONE, EXIT_FAILED, command
from stall_then_strike.app.shell.command_parser import command_parser
from stall_then_strike.infra.clock import SystemClock
from stall_then_strike.infra.watch.alerts import URLS_VARIABLE, Alerts, load_alert_urls
from stall_then_strike.types.errors import ConfigError


def parser() -> argparse.ArgumentParser:
    """The command's arguments: none."""
    return command_parser(
        "alert_test",
        f"Send one alert to each address in {URLS_VARIABLE} (environment or .env), such as tgram://TOKEN/CHAT.",
        ("", "the addresses of .env"),
        codes={0: "all took it", 1: "one did not", 2: "no address, or one that is not accepted"},
    )


@command("alert_test", patient=True)
def main(argv: Sequence[str] | None = None) -> int:
    """Run and return the exit code."""
    parser().parse_args(argv)
    urls = load_alert_urls()
    alerts = Alerts(urls, pause_sec=0, clock=SystemClock())
    if not alerts.is_on:
        raise ConfigError(f"{URLS_VARIABLE} is not set; accepted: apprise URLs, such as tgram://TOKEN/CHAT")
    taken = alerts.try_each()
    for number, (name, is_taken) in enumerate(zip(urls.masked, taken, strict=True), 1):
        sys.stdout.write(f"{number} {name}: {'delivered' if is_taken else 'NOT delivered'}\n")
    return EXIT_DONE if all(taken) else EXIT_FAILED


if __name__ == "__main__":
    sys.exit(main())
