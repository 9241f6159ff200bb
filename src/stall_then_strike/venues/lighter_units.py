"""Units of Lighter's markets, filled into a configuration: the venue tells them, and nobody types them in."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Final

from loguru import logger

from stall_then_strike.config.layers import Tree, merge, tree_of
from stall_then_strike.config.venue_layers import LIGHTER_FILE
from stall_then_strike.lighter.instruments import LighterInstrumentLoader, cache_file
from stall_then_strike.lighter.markets import Market, Markets
from stall_then_strike.sim.lighter.clearing.contracts import MARKETS, MICRO
from stall_then_strike.types.errors import ConfigError
from stall_then_strike.types.text import plain

_QUOTES_HELD: Final = 5
"""Largest position in quotes, where the settings do not say it."""


def with_units(tree: Tree) -> Tree:
    """The configuration of Lighter with units, minimums and number of each market.

    A strategy whose sizes are not given quotes the market's smallest order. Raises ConfigError for a market that there
    is not, or that is not traded, and for units that are given and wrong.
    """
    exchange = tree.at(("exchange",))
    if exchange is None:
        return tree
    items = tree.at(("instruments",))
    listed = items.value if items is not None and isinstance(items.value, list) else []
    products = [one for one in listed or [exchange] if isinstance(one.value, dict)]
    if not products or all(_number(one) >= 0 for one in products):  # the effective configuration of a run
        return tree
    markets = _markets(tree, products)
    if not listed or items is None:
        units, sizes = _filled(exchange, "exchange", tree, markets)
        return merge(tree, Tree({"exchange": units, "strategy": sizes}, tree.origin))
    filled = []
    for number, one in enumerate(listed):
        units, sizes = _filled(one, f"instruments.{number}", tree, markets)
        filled.append(merge(merge(one, units), Tree({"strategy": sizes}, one.origin)))
    return merge(tree, Tree({"instruments": Tree(filled, items.origin)}, tree.origin))


def _number(product: Tree) -> int:
    given = product.child("market_index")
    return given.value if given is not None and isinstance(given.value, int) else -1


def _markets(tree: Tree, products: list[Tree]) -> Markets:
    """The venue's list of markets: the embedded exchange's, cached, or asked for."""
    env, url = tree.at(("env",)), tree.at(("exchange", "base_url"))
    if env is not None and env.value == "sim":
        return embedded_markets()
    base_url = "" if url is None else str(url.value)
    loader = LighterInstrumentLoader(base_url, cache=cache_file(base_url), on_trouble=logger.warning)
    names = [str(code.value) for one in products if (code := one.child("product_code")) is not None]
    return asyncio.run(loader.load(lambda markets: all(markets.find(name) for name in names)))


def embedded_markets() -> Markets:
    """Those of the embedded exchange."""
    return Markets(
        [
            Market(
                market_index=one.market_id,
                symbol=one.symbol,
                size_decimals=one.size_decimals,
                price_decimals=one.price_decimals,
                min_base=Decimal(one.min_base).scaleb(-one.size_decimals),
                min_quote=Decimal(one.min_quote) / MICRO,
            )
            for one in MARKETS
        ],
        source="the embedded exchange",
    )


def _filled(product: Tree, at: str, tree: Tree, markets: Markets) -> tuple[Tree, Tree]:
    """A product's units, and the sizes of its strategy that are not given."""
    code = product.child("product_code")
    if code is None:
        raise ConfigError(f"{product.origin}: {at}.product_code: is missing; accepted: a market, such as BTC-USDC")
    market = _market(code, f"{at}.product_code", markets)
    unit = market.instrument
    units: Mapping[str, Any] = {
        "product_code": unit.product_code,
        "tick_size": unit.tick_size,
        "size_step": unit.lot_size,
        "size_min": unit.size(unit.min_size),
        "notional_min": market.min_quote,
        "base": unit.base,
        "quote": unit.quote,
        "market_index": market.market_index,
    }
    for key, value in units.items():
        given = product.child(key)
        if key != "product_code" and given is not None and _is_users(given) and given.value != value:
            shown = plain(value) if isinstance(value, Decimal) else value
            raise ConfigError(f"{given.origin}: {at}.{key}: is not what {markets.source} says; accepted: {shown}")
    given = _given_size("size_min", product, tree)
    quote = given.value if given is not None and isinstance(given.value, Decimal | int) else units["size_min"]
    sizes = {"size_min": quote, "max_inventory_btc": _QUOTES_HELD * quote}
    lacking = {key: size for key, size in sizes.items() if _given_size(key, product, tree) is None}
    return tree_of(dict(units), code.origin), tree_of(lacking, code.origin)


def _market(code: Tree, at: str, markets: Markets) -> Market:
    try:
        market = markets.named(str(code.value))
    except ConfigError as error:
        raise ConfigError(f"{code.origin}: {at}: {error}") from None
    if market.market_type != "SWAP" or not market.is_active:
        what = "is closed" if market.market_type == "SWAP" else "is a spot market, which is not traded"
        raise ConfigError(f"{code.origin}: {at}: {market.symbol} {what}; accepted: an open perpetual, such as BTC-USDC")
    return market


def _given_size(key: str, product: Tree, tree: Tree) -> Tree | None:
    """The size that somebody has chosen, for the product or for all."""
    own, common = product.at(("strategy", key)), tree.at(("strategy", key))
    return own or (common if common is not None and _is_users(common) else None)


def _is_users(node: Tree) -> bool:
    """Whether a value is somebody's choice, and not the venue's default."""
    return node.origin.source != str(LIGHTER_FILE)
