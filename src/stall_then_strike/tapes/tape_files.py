"""Which files are tapes, of which product and from where.

A folder of recordings also contains event logs, manifests and unfinished parts.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from itertools import islice
from pathlib import Path
from typing import Any, Final

import orjson

from stall_then_strike.config.models import AppConfig
from stall_then_strike.config.venue import BITFLYER, LIGHTER
from stall_then_strike.infra.logs.run_record import GENERATED, UNKNOWN, market_at
from stall_then_strike.lighter.markets import Market, configured_market
from stall_then_strike.tapes.part_file import PART
from stall_then_strike.tapes.salvage import EVENTS
from stall_then_strike.tapes.tape_reader import LineFile, TapeError, read_tape
from stall_then_strike.tapes.tape_writer import manifest_path
from stall_then_strike.tapes.wires import channel_of, kind_of, market_in
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


DERIVED: Final = "derived"


def market_of_tapes(tapes: Iterable[str | Path]) -> str:
    """Of what market tapes are: ``real``, ``derived``, ``generated`` or ``unknown``; several are joined by ``+``."""
    return "+".join(sorted({_market_of(Path(tape)) for tape in tapes})) or UNKNOWN


def _market_of(tape: Path) -> str:
    """By the manifest beside it, or else by its name."""
    try:
        manifest: Any = orjson.loads(manifest_path(tape).read_bytes())
        if isinstance(said := manifest.get("market"), str):
            return said
        return market_at(manifest["source"])
    except (OSError, ValueError, LookupError, TypeError, AttributeError):
        words = tape.name.lower().replace("_", "-").split("-")
        return DERIVED if "derived" in words else GENERATED if {"generated", "sample"} & set(words) else UNKNOWN


_SEEN: Final = 400
"""Messages from which a tape's products and price steps are known; snapshots come every 5 s among about 70 others."""


def require_product(tapes: Sequence[Path], cfg: AppConfig) -> None:
    """Refuse tapes of another venue, of other products only, and prices finer than the settings' step.

    Raises ConfigError. What cannot be read here is reported by those who read it whole.
    """
    _require_venue(tapes, cfg)
    steps_of = {one.exchange.product_code: one.exchange.tick_size for one in cfg.by_instrument()}
    wanted = " and ".join(steps_of)
    for tape in tapes:
        steps = price_steps(tape)
        if steps and not steps.keys() & steps_of.keys():
            one = min(steps)
            sets = [f"exchange.product_code={one}", "ws.channels=[]", f"exchange.tick_size={steps[one]:f} or finer"]
            raise ConfigError(
                f"{tape}: a tape of {', '.join(sorted(steps))}, the settings are of {wanted}; accepted: a tape of "
                f"{wanted}, or the settings of the tape's product: --set {', --set '.join(sets)} (and "
                "exchange.size_step, exchange.size_min and strategy.size_min, if they differ)"
            )
        for product in steps.keys() & steps_of.keys():
            if steps_of[product] > steps[product]:
                raise ConfigError(
                    f"{tape}: prices of {product} are in steps of {steps[product]:f}, its tick_size is "
                    f"{steps_of[product]:f}; accepted: --set exchange.tick_size={steps[product]:f} or finer"
                )


def require_one_venue(tapes: Sequence[Path]) -> None:
    """Refuse tapes that no reader takes as one: of both venues, or of several of Lighter's markets. Raises ConfigError.

    A tape of bitFlyer may have several products: each of its messages names its own.
    """
    first = None
    for path in tapes:
        market = _market_on(path)
        kind = BITFLYER if market is None else f"{LIGHTER}'s {market.symbol}"
        if first is not None and kind != first:
            raise ConfigError(
                f"{path}: a tape of {kind}, and {tapes[0]} is of {first}; accepted: tapes of {BITFLYER}, or of one "
                f"market of {LIGHTER}"
            )
        first = kind


def price_steps(tape: Path) -> dict[str, Decimal]:
    """The products at the beginning of a tape, with the finest step among their prices: 1, 0.1, 0.01 ...

    The venue's ``mid_price`` is left out, as it may have half steps. Empty if the tape cannot be read.
    """
    found: dict[str, Decimal] = {}
    try:
        for line in islice(read_tape(tape), _SEEN):
            message: Any = orjson.loads(line.text)
            name = channel_of(message)
            kind, product = kind_of(name) if name is not None else (None, "")
            if kind is not None:
                step = min((_step_of(price) for price in _prices(message["params"].get("message"))), default=Decimal(1))
                found[product] = min(step, found.get(product, step))
    except (OSError, TapeError, ValueError):
        return {}
    return found


def _prices(content: Any) -> Iterable[Any]:
    rows = content if isinstance(content, list) else []
    if isinstance(content, dict):
        rows = [row for side in ("bids", "asks") for row in content.get(side) or ()]
    return [row["price"] for row in rows if isinstance(row, dict) and isinstance(row.get("price"), int | float)]


def _step_of(price: float) -> Decimal:
    """The power of ten that a price is a whole number of, 1 at most."""
    exponent = Decimal(repr(price)).normalize().as_tuple().exponent
    return Decimal(1).scaleb(exponent) if isinstance(exponent, int) and exponent < 0 else Decimal(1)


def _require_venue(tapes: Sequence[Path], cfg: AppConfig) -> None:
    """Refuse tapes of another venue than the settings', and of markets with other units. Raises ConfigError."""
    markets = {one.exchange.product_code: one.exchange for one in cfg.by_instrument()}
    for path in tapes:
        market = _market_on(path)
        venue = BITFLYER if market is None else LIGHTER
        if venue != cfg.exchange.name:
            raise ConfigError(
                f"{path}: a tape of {venue}, and exchange.name is {cfg.exchange.name}; accepted: settings of {venue}, "
                f"such as --set exchange.name={venue}"
            )
        if market is None:
            continue
        if (given := markets.get(market.symbol)) is None:
            known = " or ".join(markets)
            raise ConfigError(
                f"{path}: a tape of {market.symbol}, which is no instrument; accepted: one of {known}, or "
                f"--set exchange.product_code={market.symbol}"
            )
        if configured_market(given) != market:
            unit = market.instrument
            raise ConfigError(
                f"{path}: recorded with steps of {plain(unit.tick_size)} and {plain(unit.lot_size)} as market "
                f"{market.market_index}, and {market.symbol} has {plain(given.tick_size)} and {plain(given.size_step)} "
                f"as market {given.market_index}; accepted: settings with the tape's units"
            )


def _market_on(tape: Path) -> Market | None:
    """The market of Lighter that a tape is of; None for bitFlyer and for what the tape's reader cannot read either.

    Raises ConfigError for a header of another form.
    """
    try:
        with LineFile(tape) as file:
            message = orjson.loads(file.readline())["msg"]
    except (OSError, TapeError, ValueError, KeyError, TypeError):
        return None
    try:
        return market_in(message)
    except ValueError as error:
        raise ConfigError(f"{tape}: {error}") from error
