"""What an example still tells, and what it does not."""

from __future__ import annotations

import json

from stall_then_strike.app.contact.assumed.masking import LONGEST, Masking

EVENT = {
    "product_code": "FX_BTC_JPY",
    "child_order_id": "JFX20230611-180201-440296F",
    "child_order_acceptance_id": "JRF20230611-180201-097176",
    "event_date": "2023-06-11T18:02:01.6573082Z",
    "exec_id": 2373644588,
    "price": 3133605,
}


def test_ids_keep_their_form_and_equal_ids_their_equality() -> None:
    masking = Masking()
    first, again = json.loads(masking.example(EVENT)), json.loads(masking.example(EVENT))
    assert first == again
    assert first["child_order_id"] == "JFX00000000-000000-000001F"
    assert first["child_order_acceptance_id"] == "JRF00000000-000000-000002"
    assert first["exec_id"] == 9999999999
    assert {name: first[name] for name in ("event_date", "price")} == {
        name: EVENT[name] for name in ("event_date", "price")
    }


def test_ids_of_another_form_and_under_another_name_are_masked() -> None:
    shown = Masking().example({"order": "JRF20230611-180201-097176", "child_order_id": "8f14e45f-ceea"})
    assert json.loads(shown) == {"order": "JRF00000000-000000-000001", "child_order_id": "0x00x02x-xxxx"}


def test_amounts_of_the_account_and_secrets_are_left_out() -> None:
    masking = Masking(lambda text: text.replace("hush", "***"))
    shown = masking.example({"collateral": 123456.5, "open_position_pnl": 0, "keep_rate": 4.2, "note": "hush now"})
    assert json.loads(shown) == {
        "collateral": "(an amount)",
        "open_position_pnl": 0,
        "keep_rate": 4.2,
        "note": "*** now",
    }
    assert masking.text("key hush, order JRF20230611-180201-097176") == "key ***, order JRF00000000-000000-000001"


def test_what_lighter_tells_of_an_account_is_masked_and_its_book_is_not() -> None:
    masking = Masking()
    order = {"order_index": 562949953421400, "owner_account_index": 71, "price": "2064.54", "tx_hash": "00ab"}
    shown = json.loads(masking.example({"orders": {"0": [order]}, "account": 71}))
    assert shown["orders"]["0"][0] == {
        "order_index": 999999999999999,
        "owner_account_index": 99,
        "price": "2064.54",
        "tx_hash": "01xx",
    }
    assert shown["account"] == 99
    stats = {"collateral": "998.93", "available_balance": "10.5", "position": "1.00", "sign": 1}
    assert json.loads(masking.example(stats)) == {
        "collateral": "999.99",
        "available_balance": "99.9",
        "position": "9.99",
        "sign": 1,
    }
    book = {"nonce": 9182390020, "begin_nonce": 9182389998, "market_id": 1}
    assert json.loads(masking.example(book)) == book


def test_long_lists_texts_and_odd_characters_are_cut() -> None:
    masking = Masking()
    assert json.loads(masking.example({"bids": [1, 2, 3, 4]}))["bids"] == [1, 2, "... 2 more"]
    assert len(masking.example("x" * 5000)) < LONGEST + 40
    assert masking.text("a\x1b[31mb") == "a?[31mb"
