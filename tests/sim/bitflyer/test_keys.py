"""Signatures of requests, as a table of errors and refusals."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from stall_then_strike.sim.bitflyer.keys import ApiKey, KeyRefused, Keyring
from stall_then_strike.types.dto import NS_PER_S
from tests.sim.private_rig import KEY, sign

TARGET = "/v1/me/getchildorders?product_code=FX_BTC_JPY&count=%31"
NOW_NS = 1_790_000_000 * NS_PER_S
Headers = dict[str, str]


def check(headers: Headers, *, method: str = "GET", target: str = TARGET, body: bytes = b"", skew_s: int = 0) -> ApiKey:
    ring = Keyring([KEY], max_skew_ns=skew_s * NS_PER_S or None)
    return ring.check_rest(headers, method=method, target=target, body=body, now_ns=NOW_NS)


@pytest.mark.parametrize("stamp", ["1790000000", "1790000000000", "2026-09-21 14:13:20 +0000 UTC"])
def test_good_signature_is_taken_whatever_the_form_of_the_timestamp(stamp: str) -> None:
    assert check(sign(KEY, "GET", TARGET, timestamp=stamp)) is KEY


def test_body_is_signed_as_sent() -> None:
    headers = sign(KEY, "POST", "/v1/me/sendchildorder", b'{"a": 1}')
    assert check(headers, method="POST", target="/v1/me/sendchildorder", body=b'{"a": 1}') is KEY
    with pytest.raises(KeyRefused):
        check(headers, method="POST", target="/v1/me/sendchildorder", body=b'{"a":1}')


@pytest.mark.parametrize(
    ("spoil", "status"),
    [
        (lambda h: h.pop("ACCESS-KEY"), -500),
        (lambda h: h.pop("ACCESS-TIMESTAMP"), -500),
        (lambda h: h.pop("ACCESS-SIGN"), -500),
        (lambda h: h.update({"ACCESS-KEY": ""}), -500),
        (lambda h: h.update({"ACCESS-KEY": "another"}), -501),
        (lambda h: h.update({"ACCESS-SIGN": "0" * 64}), -502),
        (lambda h: h.update({"ACCESS-SIGN": "\u00e9"}), -502),
        (lambda h: h.update({"ACCESS-TIMESTAMP": "1790000000001"}), -502),
    ],
)
def test_spoilt_headers_are_refused(spoil: Callable[[Headers], object], status: int) -> None:
    headers = sign(KEY, "GET", TARGET)
    spoil(headers)
    with pytest.raises(KeyRefused) as refused:
        check(headers)
    assert refused.value.status == status


@pytest.mark.parametrize("target", [TARGET.replace("%31", "1"), "/v1/me/getchildorders", TARGET + "&count=2"])
def test_another_path_or_query_than_was_signed_is_refused(target: str) -> None:
    with pytest.raises(KeyRefused):
        check(sign(KEY, "GET", TARGET), target=target)


@pytest.mark.parametrize(("seconds", "is_taken"), [(0, True), (29, True), (-30, True), (31, False), (-60, False)])
@pytest.mark.parametrize("unit", [1, 1_000])
def test_skew_limit(seconds: int, is_taken: bool, unit: int) -> None:
    headers = sign(KEY, "GET", TARGET, timestamp=str((1_790_000_000 + seconds) * unit))
    if is_taken:
        assert check(headers, skew_s=30) is KEY
    else:
        with pytest.raises(KeyRefused, match="time"):
            check(headers, skew_s=30)


def test_timestamp_that_is_no_number_is_refused_when_skew_counts() -> None:
    with pytest.raises(KeyRefused):
        check(sign(KEY, "GET", TARGET, timestamp="now"), skew_s=30)


def test_secret_does_not_show() -> None:
    assert KEY.secret not in repr(KEY)


def test_key_is_good_for_its_permissions_only() -> None:
    weak = ApiKey(key="weak", secret="s", permissions=frozenset({"/v1/me/getbalance"}))
    ring = Keyring([weak])
    for target, is_taken in (("/v1/me/getbalance", True), ("/v1/me/getbalance?x=1", True), (TARGET, False)):
        headers = sign(weak, "GET", target)
        if is_taken:
            assert ring.check_rest(headers, method="GET", target=target, body=b"", now_ns=NOW_NS) is weak
        else:
            with pytest.raises(KeyRefused, match="Permission"):
                ring.check_rest(headers, method="GET", target=target, body=b"", now_ns=NOW_NS)
