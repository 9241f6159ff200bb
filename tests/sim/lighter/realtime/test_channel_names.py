"""Names of channels, as they stand in requests and answers."""

from __future__ import annotations

import pytest

from stall_then_strike.sim.lighter.realtime.channel_names import Subject, Topic, UnknownChannel, read_channel


@pytest.mark.parametrize(
    ("name", "wire"),
    [
        ("order_book/0", "order_book:0"),
        ("trade/24", "trade:24"),
        ("ticker/1", "ticker:1"),
        ("market_stats/1", "market_stats:1"),
        ("market_stats/all", "market_stats:all"),
        ("height", "height"),
        ("candle/0/1m", "candle:0:1m"),
        ("account_market/2/411813", "account_market:2:411813"),
        ("account_all/225671", "account_all:225671"),
        ("account_all_orders/281474976710654", "account_all_orders:281474976710654"),
        ("account_orders/1/659514", "account_orders:1"),
    ],
)
def test_answer_names_a_channel_with_colons(name: str, wire: str) -> None:
    subject = read_channel(name)
    assert (subject.key, subject.wire) == (name, wire)
    assert read_channel(name.replace("/", ":")) == subject


def test_an_accounts_orders_in_one_market_hide_the_account() -> None:
    assert read_channel("account_orders/1/659514") == Subject(Topic.ACCOUNT_ORDERS, market=1, account=659_514)


@pytest.mark.parametrize(
    "name",
    [
        "", "account/1", "order_book", "order_book/x", "order_book/0/1", "order_book/-1", "trade/all", "height/1",
        "candle/0", "candle/0/2m", "candle/0/", "candle/all/1m", "account_market/1",
    ],
)  # fmt: skip
def test_anything_else_is_refused_by_its_first_part(name: str) -> None:
    with pytest.raises(UnknownChannel) as refused:
        read_channel(name)
    assert str(refused.value) == name.partition("/")[0]


def test_channels_of_an_account_want_a_token_with_documented_exceptions() -> None:
    free = {topic for topic in Topic if topic.is_of_account and not Subject(topic, account=5).needs_token}
    assert free == {Topic.ACCOUNT_ALL, Topic.USER_STATS}
