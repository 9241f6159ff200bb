"""Which files are tapes: a folder of recordings also contains event logs, manifests and unfinished parts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import orjson

from stall_then_strike.config.models import AppConfig
from stall_then_strike.config.venue import BITFLYER, LIGHTER
from stall_then_strike.lighter.markets import configured_market
from stall_then_strike.tapes.part_file import PART
from stall_then_strike.tapes.salvage import EVENTS
from stall_then_strike.tapes.tape_reader import LineFile, TapeError
from stall_then_strike.tapes.wires import market_in
from stall_then_strike.types.errors import ConfigError
from stall_then_strike.types.text import plain

SUFFIXES: Final = (".jsonl", ".jsonl.zst")


@dataclass(frozen=True, slots=True)
class TapeFiles:
    """The tapes among the given paths, and the files that were skipped."""

    tapes: list[Path]
    passed_over: list[Path]
    """Skipped: event logs and tapes of other products."""

    def words(self) -> str | None:
        """The skipped files, for the terminal; None if there are none."""
        if not self.passed_over:
            return None
        names = ", ".join(path.name for path in self.passed_over[:_NAMED])
        more = len(self.passed_over) - _NAMED
        return f"skipped, not a tape of this product: {names}{f' and {more} more' if more > 0 else ''}"


_NAMED: Final = 3


def is_event_log(path: Path) -> bool:
    """Whether a file is an event log, judged by its name."""
    return path.name.removesuffix(PART).endswith(EVENTS)


def tape_files(paths: Sequence[Path], *products: str) -> TapeFiles:
    """The given tapes in their order; a given folder is replaced by its tapes of these products, by name (so by time).

    A folder's tape whose name has no product, because no recorder made it, is included. Raises ConfigError for a
    missing path, and if no tape is left.
    """
    tapes: list[Path] = []
    passed_over: list[Path] = []
    for path in paths:
        if path.is_dir():
            for file in sorted(file for file in path.iterdir() if file.name.endswith(SUFFIXES)):
                is_wanted = not is_event_log(file) and product_of(file) in (*products, None)
                (tapes if is_wanted else passed_over).append(file)
        elif path.is_file():
            (passed_over if is_event_log(path) else tapes).append(path)
        else:
            raise ConfigError(f"{path}: not a file or folder; accepted: a tape ({' or '.join(SUFFIXES)}), or a folder")
    if paths and not tapes:
        logs = f", but {len(passed_over)} other recording(s)" if passed_over else ""
        raise ConfigError(
            f"{', '.join(map(str, paths))}: no tape of {' or '.join(products)}{logs}; "
            f"accepted: a tape ({' or '.join(SUFFIXES)}), or a folder of them"
        )
    return TapeFiles(tapes, passed_over)


def product_of(tape: Path) -> str | None:
    """The product in the name of a recorder's tape; None if the name has none."""
    said, dash, rest = tape.name.partition("-")
    return said if dash and said.isupper() and rest[:8].isdigit() else None


def require_venue(tapes: Sequence[Path], cfg: AppConfig) -> None:
    """Raise ConfigError for a tape of another venue than the settings', or of a market with other units."""
    markets = {one.exchange.product_code: one.exchange for one in cfg.by_instrument()}
    for path in tapes:
        try:
            market = market_in(_first_message(path))
        except ValueError as error:
            raise ConfigError(f"{path}: {error}") from error
        venue = BITFLYER if market is None else LIGHTER
        if venue != cfg.exchange.name:
            raise ConfigError(
                f"{path}: a tape of {venue}, and exchange.name is {cfg.exchange.name}; accepted: settings of {venue}"
            )
        if market is None:
            continue
        if (given := markets.get(market.symbol)) is None:
            known = " or ".join(markets)
            raise ConfigError(f"{path}: a tape of {market.symbol}, which is no instrument; accepted: one of {known}")
        if configured_market(given) != market:
            unit = market.instrument
            raise ConfigError(
                f"{path}: recorded with steps of {plain(unit.tick_size)} and {plain(unit.lot_size)} as market "
                f"{market.market_index}, and {market.symbol} has {plain(given.tick_size)} and {plain(given.size_step)} "
                f"as market {given.market_index}; accepted: settings with the tape's units"
            )


def _first_message(tape: Path) -> Any:
    """The first message of a tape; None if it cannot be read, which the reader of the tape tells better."""
    try:
        with LineFile(tape) as file:
            return orjson.loads(file.readline())["msg"]
    except (OSError, TapeError, ValueError, KeyError, TypeError):
        return None
