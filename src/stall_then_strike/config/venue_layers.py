"""Layers that a venue brings: its defaults below the user's own, and the section ``live`` of a connector's documents.

    live:
      exchanges:
        XLIGHTER:
          connector: xlighter
          universe: [BTC-USDC, ETH-USDC]

stands for ``env: live``, ``exchange.name`` and ``instruments``.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from pathlib import Path
from typing import Final

from stall_then_strike.config.layers import Tree, merge, read_file
from stall_then_strike.config.venue import LIGHTER, VENUES, venue_named
from stall_then_strike.types.errors import ConfigError

LIGHTER_FILE: Final = Path(__file__).with_name("defaults") / f"venue-{LIGHTER}.yml"
"""Lighter's defaults."""
_EXCHANGES: Final = "XLIGHTER (or LIGHTER) or BITFLYER"
_IN_MEMORY: Final = "InMemoryLogsWriter"


def with_venue(layers: Sequence[Tree]) -> Tree:
    """All layers as one tree, the first being the base. Raises ConfigError for a section ``live`` that does not fit.

    A base that names the venue itself is complete: it is the effective configuration of a run.
    """
    base, *over = map(_specified, layers)
    tree = reduce(merge, over, base)
    if _name(base) == LIGHTER or _name(tree) != LIGHTER:
        return tree
    return reduce(merge, over, merge(base, read_file(LIGHTER_FILE)))


def _name(tree: Tree) -> str:
    given = tree.at(("exchange", "name"))
    return venue_named(given.value) if given is not None and isinstance(given.value, str) else ""


def _specified(tree: Tree) -> Tree:
    """A layer with our own keys for its section ``live``."""
    if not isinstance(tree.value, dict) or (live := tree.value.get("live")) is None:
        return tree
    rest = Tree({key: child for key, child in tree.value.items() if key != "live"}, tree.origin)
    _require_keys(live, "live", ("exchanges", "logging"))
    if (writer := live.at(("logging", "logger"))) is not None and writer.value != _IN_MEMORY:
        # It is accepted because documents of the connector print it; a run logs to files all the same.
        raise ConfigError(f"{writer.origin}: live.logging.logger: is not accepted; accepted: {_IN_MEMORY}, or nothing")
    return merge(_of_exchanges(live), rest)


def _of_exchanges(live: Tree) -> Tree:
    exchanges = live.child("exchanges")
    if exchanges is None or not isinstance(exchanges.value, dict) or len(exchanges.value) != 1:
        where = live if exchanges is None else exchanges
        raise ConfigError(f"{where.origin}: live.exchanges: is not one exchange; accepted: one of {_EXCHANGES}")
    [(given, exchange)] = exchanges.value.items()
    at, name = f"live.exchanges.{given}", venue_named(given)
    if name not in VENUES:
        raise ConfigError(f"{exchange.origin}: {at}: is not known; accepted: {_EXCHANGES}")
    _require_keys(exchange, at, ("connector", "universe"))
    connector = exchange.child("connector")
    if connector is not None and (not isinstance(connector.value, str) or venue_named(connector.value) != name):
        said = "xlighter" if name == LIGHTER else name
        raise ConfigError(f"{connector.origin}: {at}.connector: does not fit the exchange; accepted: {said}")
    universe = exchange.child("universe")
    codes = None if universe is None else universe.value
    if universe is None or not isinstance(codes, list) or not codes:
        raise ConfigError(f"{exchange.origin}: {at}.universe: is no list; accepted: instruments, such as [BTC-USDC]")
    origin = universe.origin
    instruments = [Tree({"product_code": code}, code.origin) for code in codes]
    return Tree(
        {
            "env": Tree("live", origin),
            "exchange": Tree({"name": Tree(name, exchange.origin)}, exchange.origin),
            "instruments": Tree(list(instruments), origin),
        },
        origin,
    )


def _require_keys(tree: Tree, at: str, known: Sequence[str]) -> None:
    if not isinstance(tree.value, dict):
        raise ConfigError(f"{tree.origin}: {at}: is no mapping; accepted: the keys {', '.join(known)}")
    for key, child in tree.value.items():
        if key not in known:
            raise ConfigError(f"{child.origin}: {at}.{key}: unknown key; accepted: {', '.join(known)}")
