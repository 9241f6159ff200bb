"""Where keys come from, what is shown of them, and for which hosts pybotters signs."""

from __future__ import annotations

import os
from hashlib import sha256
from pathlib import Path

import pybotters
import pytest

from stall_then_strike.infra.bitflyer.credentials import Credentials, is_own_machine, load_credentials, sign_for
from stall_then_strike.types.errors import ConfigError

KEY, SECRET = "key-for-tests", "secret-for-tests="


@pytest.fixture(autouse=True)
def _no_keys(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("BITFLYER_API_KEY", "BITFLYER_API_SECRET", "STALL_ACCOUNTS_FILE"):
        monkeypatch.delenv(name, raising=False)


def env_file(folder: Path, text: str | bytes, mode: int = 0o600) -> Path:
    path = folder / ".env"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    path.chmod(mode)
    return path


BOTH = f"BITFLYER_API_KEY={KEY}\nBITFLYER_API_SECRET='{SECRET}'\n"


def test_file_is_read_and_the_environment_left_alone(tmp_path: Path) -> None:
    before = dict(os.environ)
    path = env_file(tmp_path, BOTH)
    found = load_credentials(path)
    assert (found.key, found.secret, found.source, found.is_exposed) == (KEY, SECRET, str(path), False)
    assert dict(os.environ) == before


def test_environment_wins_and_an_empty_value_in_it_does_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = env_file(tmp_path, BOTH)
    monkeypatch.setenv("BITFLYER_API_KEY", "another")
    monkeypatch.setenv("BITFLYER_API_SECRET", "")
    assert load_credentials(path) == Credentials(key="another", secret=SECRET)
    monkeypatch.setenv("BITFLYER_API_SECRET", "too")
    found = load_credentials(tmp_path / "none")
    assert (found.secret, found.source) == ("too", "environment")


def test_values_are_literal_and_a_byte_order_mark_is_no_part_of_them(tmp_path: Path) -> None:
    path = env_file(tmp_path, "\ufeffBITFLYER_API_KEY='${HOME}'\nBITFLYER_API_SECRET=a$b\n")
    assert (load_credentials(path).key, load_credentials(path).secret) == ("${HOME}", "a$b")


@pytest.mark.parametrize(("mode", "is_exposed"), [(0o600, False), (0o640, True), (0o604, True), (0o400, False)])
def test_file_that_others_may_read_is_noted(tmp_path: Path, mode: int, is_exposed: bool) -> None:
    assert load_credentials(env_file(tmp_path, BOTH, mode)).is_exposed is is_exposed


def test_open_file_does_not_matter_to_keys_of_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BITFLYER_API_KEY", KEY)
    monkeypatch.setenv("BITFLYER_API_SECRET", SECRET)
    assert not load_credentials(env_file(tmp_path, BOTH, 0o644)).is_exposed


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "BITFLYER_API_KEY and BITFLYER_API_SECRET: neither in the environment nor in"),
        (f"BITFLYER_API_KEY={KEY}\n", "BITFLYER_API_SECRET: neither"),
        (f"BITFLYER_API_KEY=\nBITFLYER_API_SECRET={SECRET}\n", "BITFLYER_API_KEY: neither"),
        (f"BITFLYER_API_KEY\nBITFLYER_API_SECRET={SECRET}\n", "BITFLYER_API_KEY: neither"),
        (f"BITFLYER_API_KEY='{KEY} x'\nBITFLYER_API_SECRET={SECRET}\n", ".env: BITFLYER_API_KEY: contains a blank"),
        (f"BITFLYER_API_KEY={KEY}é\nBITFLYER_API_SECRET={SECRET}\n", ".env: BITFLYER_API_KEY: contains"),
        (f'BITFLYER_API_KEY={KEY}\nBITFLYER_API_SECRET="{SECRET}\\n"\n', ".env: BITFLYER_API_SECRET: contains"),
        (f"BITFLYER_API_KEY={KEY}\n".encode() + b"BITFLYER_API_SECRET=secret-\xff\n", ".env: is not UTF-8"),
    ],
)
def test_what_cannot_be_used_is_named_and_never_shown(tmp_path: Path, text: str | bytes, words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load_credentials(env_file(tmp_path, text))
    assert words in str(caught.value)
    assert "accepted:" in str(caught.value)
    error: BaseException | None = caught.value
    while error is not None:
        assert KEY not in repr(error)
        assert "secret-" not in repr(error)
        error = error.__cause__ or error.__context__


def test_blank_in_the_environment_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("BITFLYER_API_KEY", KEY)
    monkeypatch.setenv("BITFLYER_API_SECRET", f"{SECRET}\n")
    with pytest.raises(ConfigError, match="environment: BITFLYER_API_SECRET: contains a blank"):
        load_credentials(tmp_path / ".env")


ACCOUNTS = "".join(
    f'[[accounts]]\nname = "{name}"\nexchange = "{exchange}"\napi_key = "{name}-key"\nsecret = "{name}-secret"\n{more}'
    for name, exchange, more in (
        ("main", "BITFLYER", ""),
        ("deep", "XLIGHTER", "account_index = 1\napi_key_index = 4\n"),
        ("second", "bitflyer", ""),
    )
)


def accounts_file(folder: Path, text: str) -> None:
    path = folder / "accounts.toml"
    path.write_text(text)
    path.chmod(0o600)


def test_named_account_wins_over_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    accounts_file(tmp_path, ACCOUNTS)
    monkeypatch.setenv("BITFLYER_API_KEY", KEY)
    monkeypatch.setenv("BITFLYER_API_SECRET", SECRET)
    found = load_credentials(account="second")
    assert found == Credentials(key="second-key", secret="second-secret")
    assert (found.source, found.is_exposed) == ("account 'second' of accounts.toml", False)
    assert load_credentials() == Credentials(key=KEY, secret=SECRET)
    with pytest.raises(ConfigError, match=r"account\.name: 'deep': no such account of BITFLYER .* 'main', 'second'"):
        load_credentials(account="deep")


def test_only_account_is_taken_where_there_are_no_variables(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    accounts_file(tmp_path, ACCOUNTS.partition('[[accounts]]\nname = "second"')[0])
    assert load_credentials().key == "main-key"
    monkeypatch.setenv("BITFLYER_API_KEY", KEY)
    with pytest.raises(ConfigError, match="BITFLYER_API_SECRET: neither"):  # half a pair is a mistake, not an absence
        load_credentials()
    monkeypatch.delenv("BITFLYER_API_KEY")
    accounts_file(tmp_path, ACCOUNTS)
    with pytest.raises(
        ConfigError, match=r"account\.name: not given, and accounts\.toml has 2; accepted: 'main', 'sec"
    ):
        load_credentials()


def test_accounts_of_other_exchanges_do_not_count(tmp_path: Path) -> None:
    accounts_file(tmp_path, ACCOUNTS.replace('"BITFLYER"', '"OTHER"').replace('"bitflyer"', '"OTHER"'))
    with pytest.raises(ConfigError, match=r"neither in the environment nor in .*or an account of bitFlyer in accounts"):
        load_credentials()


def test_folder_in_place_of_the_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="is a folder"):
        load_credentials(tmp_path)


def test_dangling_link_is_refused(tmp_path: Path) -> None:
    link = tmp_path / ".env"
    link.symlink_to(tmp_path / "gone")
    with pytest.raises(ConfigError, match="cannot be read: No such file"):
        load_credentials(link)


def test_nothing_shows_but_the_fingerprint() -> None:
    pair = Credentials(key=KEY, secret=SECRET)
    assert pair.fingerprint == sha256(KEY.encode()).hexdigest()[:12]
    assert repr(pair) == str(pair) == f"{pair}" == f"Credentials({pair.fingerprint})"
    assert pair.redact(f"key {KEY}, secret {SECRET}") == "key ***, secret ***"


@pytest.mark.parametrize("host", ["127.0.0.1", "127.3.2.1", "::1", "localhost"])
def test_own_machine_is_signed_for_inside_the_block(host: str) -> None:
    http, ws = pybotters.auth.Hosts.items, pybotters.ws.AuthHosts.items
    before = dict(http), dict(ws)
    with sign_for(host):
        with sign_for(host):
            pass
        assert (http[host].name, ws[host].name) == ("bitflyer", "bitflyer")
    assert (dict(http), dict(ws)) == before


@pytest.mark.parametrize("host", ["api.bitflyer.com", "ws.lightstream.bitflyer.com"])
def test_bitflyer_itself_needs_nothing(host: str) -> None:
    before = dict(pybotters.auth.Hosts.items)
    with sign_for(host):
        assert dict(pybotters.auth.Hosts.items) == before


@pytest.mark.parametrize(
    "host", ["api.bitflyer.com.evil.example", "192.168.0.1", "10.0.0.1", "", "127.0.0.1.nip.io", "api.binance.com"]
)
def test_nobody_else_is_signed_for(host: str) -> None:
    before = dict(pybotters.auth.Hosts.items)
    with pytest.raises(ConfigError, match="accepted: bitFlyer's hosts"), sign_for(host):
        pass
    assert not is_own_machine(host)
    assert dict(pybotters.auth.Hosts.items) == before
