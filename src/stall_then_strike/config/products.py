"""Several instruments of one account: the keys in which each differs from the rest of the configuration."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from pydantic import Field

from stall_then_strike.config.fields import Parameters
from stall_then_strike.config.trading import StallStrategyConfig
from stall_then_strike.config.venue import ProductConfig

_SECTIONS: Final = ("strategy", "parameters")
_UNITS: Final = tuple(ProductConfig.model_fields)


class InstrumentConfig(ProductConfig):
    """One instrument. A key that is not given is taken from ``exchange``, ``strategy`` and ``parameters``."""

    product_code: str = Field(pattern=r"^[A-Z0-9_]+$", description="product, as the venue spells it")
    strategy: StallStrategyConfig = Field(default_factory=StallStrategyConfig)
    parameters: Parameters = Field(
        default_factory=dict, description="settings of another strategy; its page or its class says which there are"
    )


def filled_in(tree: Any) -> Any:
    """A raw configuration whose instruments have every key; its own ``exchange`` and ``strategy`` are the first's.

    What is not understood is left to the models.
    """
    if not isinstance(tree, Mapping) or not isinstance(items := tree.get("instruments"), list | tuple):
        return tree
    exchange = _mapping(tree.get("exchange"))
    units = {name: exchange[name] for name in _UNITS[1:] if name in exchange}
    filled = [_filled(item, units, tree) for item in items]
    tree = {**tree, "instruments": filled}
    if filled and isinstance(first := filled[0], Mapping):
        tree["exchange"] = {**exchange, **{name: first[name] for name in _UNITS if name in first}}
        tree |= {name: first[name] for name in _SECTIONS}
    return tree


def _filled(item: Any, units: Mapping[str, Any], tree: Mapping[str, Any]) -> Any:
    if not isinstance(item, Mapping):
        return item
    sections = {}
    for name in _SECTIONS:
        own = item.get(name, {})
        sections[name] = {**_mapping(tree.get(name)), **own} if isinstance(own, Mapping) else own
    return {**units, **item, **sections}


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}
