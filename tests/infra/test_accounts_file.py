"""``accounts.toml``: what it may say, what is told of mistakes, and that no secret ever shows."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import SecretStr

from stall_then_strike.infra.accounts_file import AccountConfigurationManager, ExchangeCredentials
from stall_then_strike.types.errors import ConfigError

ROOT = Path(__file__).resolve().parents[2]
SECRET = "s3cret" * 3
BITFLYER = f'[[accounts]]\nname = "main"\nexchange = "BITFLYER"\napi_key = "k-{SECRET}"\nsecret = "{SECRET}"\n'
LIGHTER = (
    f'[[accounts]]\nname = "deep"\nexchange = "XLIGHTER"\napi_key = "0xADDRESS"\nsecret = "{SECRET}"\n'
    'account_index = 225671\napi_key_index = 2\nbase_currency = "USDC"\n'
)


def file(folder: Path, text: str | bytes, mode: int = 0o600) -> Path:
    path = folder / "accounts.toml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    path.chmod(mode)
    return path


def read(folder: Path, text: str) -> AccountConfigurationManager:
    return AccountConfigurationManager(file(folder, text))


def test_accounts_of_several_exchanges_keep_their_own_fields_and_types(tmp_path: Path) -> None:
    more = 'fee_tier = 3\nsub_accounts = ["a"]\nratio = 0.5\n'
    found = read(tmp_path, BITFLYER + LIGHTER + more)
    main, deep = found.accounts
    assert (main.name, main.exchange, main.account_index, main.base_currency) == ("main", "BITFLYER", None, None)
    assert main.secret.get_secret_value() == SECRET
    assert (deep.account_index, deep.api_key_index, deep.base_currency) == (225671, 2, "USDC")
    assert [deep.get_extra_field(name) for name in ("fee_tier", "sub_accounts", "ratio")] == [3, ["a"], 0.5]
    assert (deep.get_extra_field("account_index"), deep.get_extra_field("none", "other")) == (225671, "other")


@pytest.mark.parametrize("exchange", ["LIGHTER", "lighter", "xlighter", "XLIGHTER"])
def test_both_names_of_lighter_mean_the_same(tmp_path: Path, exchange: str) -> None:
    found = read(tmp_path, LIGHTER.replace("XLIGHTER", exchange))
    assert [account.name for account in found.of_exchange("lighter")] == ["deep"]
    assert found.get_exchange_credentials(exchange).exchange == "XLIGHTER"


def test_example_is_accepted_once_it_is_the_owners_alone(tmp_path: Path) -> None:
    found = read(tmp_path, (ROOT / "accounts.example.toml").read_text(encoding="utf-8"))
    assert [account.exchange for account in found.accounts] == ["BITFLYER", "XLIGHTER"]


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o602, 0o644])
def test_file_that_others_may_read_or_change_is_refused(tmp_path: Path, mode: int) -> None:
    with pytest.raises(ConfigError, match=r"accounts\.toml: other users may read or change it; accepted: chmod 600 /"):
        AccountConfigurationManager(file(tmp_path, BITFLYER, mode))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[[accounts]]\nname = main", "line 2, column 8: is not TOML; texts stand in quotes"),
        (f"[[accounts]]\nsecret = {SECRET}", "line 2, column 10: is not TOML"),
        (BITFLYER + f'secret = "{SECRET}"', "end of document: is not TOML"),
        ('[account]\nname = "x"', "unknown key 'account'; accepted: one table [[accounts]]"),
        ("", "accounts: is missing or not a list of tables"),
        ("accounts = 3", "accounts: is missing or not a list of tables"),
        ("accounts = [3]", "account 1: is not a table"),
        (BITFLYER.replace('name = "main"\n', ""), "account 1: name: is missing; accepted: a text, different"),
        (BITFLYER.replace('"main"', '""'), "account 1: name: is not usable"),
        (BITFLYER.replace('exchange = "BITFLYER"\n', ""), "account 1 ('main'): exchange: is missing"),
        (BITFLYER.replace(f'secret = "{SECRET}"\n', ""), "account 1 ('main'): secret: is missing; accepted: the venue"),
        (BITFLYER.replace(f'"{SECRET}"', f'"{SECRET} x"'), "account 1 ('main'): secret: is not usable"),
        (BITFLYER.replace(f'"{SECRET}"', f'"{SECRET}é"'), "secret: is not usable (its value is not shown)"),
        (BITFLYER.replace(f'"k-{SECRET}"', "12345"), "api_key: is not usable (its value is not shown)"),
        (BITFLYER.replace(f'"k-{SECRET}"', '""'), "api_key: is not usable"),
        (LIGHTER.replace("225671", '"225671"'), "account_index: is not usable (its value is not shown); accepted: a w"),
        (LIGHTER.replace("225671", "-1"), "account_index: is not usable"),
        (LIGHTER.replace("api_key_index = 2", "api_key_index = 255"), "api_key_index: is not usable"),
        (LIGHTER.replace("api_key_index = 2", "api_key_index = true"), "api_key_index: is not usable"),
        (LIGHTER.replace("account_index = 225671\n", ""), "('deep'): account_index: is missing, and XLIGHTER needs it"),
        (BITFLYER + LIGHTER.replace("api_key_index = 2\n", ""), "account 2 ('deep'): api_key_index: is missing"),
        (LIGHTER.replace('"USDC"', "5"), "base_currency: is not usable"),
        (BITFLYER + BITFLYER, "account 2: name: 'main' is given twice"),
    ],
)
def test_mistake_is_named_and_no_secret_shown(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        read(tmp_path, text)
    assert words in str(caught.value)
    assert "accepted:" in str(caught.value)
    assert str(tmp_path / "accounts.toml") in str(caught.value)
    error: BaseException | None = caught.value
    while error is not None:
        assert "s3cret" not in repr(error)
        error = error.__cause__ or error.__context__


def test_what_is_no_text_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="is not a file"):
        AccountConfigurationManager(tmp_path)
    with pytest.raises(ConfigError, match="is not UTF-8"):
        AccountConfigurationManager(file(tmp_path, b"name = '\xff'"))
    link = tmp_path / "link"
    link.symlink_to(tmp_path / "gone")
    with pytest.raises(ConfigError, match="cannot be read: No such file"):
        AccountConfigurationManager(link)


def test_nothing_shows_but_name_and_exchange(tmp_path: Path) -> None:
    [account] = read(tmp_path, LIGHTER + f'passphrase_token = "{SECRET}"\nhint = "{SECRET}"\n').accounts
    assert [repr(account), str(account), f"{account}"] == ["ExchangeCredentials('deep', XLIGHTER)"] * 3
    assert isinstance(account.get_extra_field("passphrase_token"), SecretStr)
    safe = account.model_dump(exclude={"hint"})
    assert "s3cret" not in repr(safe)
    with pytest.raises(ValueError, match="frozen"):
        account.name = "other"


def test_account_is_chosen_by_name_or_is_the_only_one(tmp_path: Path) -> None:
    two = BITFLYER + BITFLYER.replace('"main"', '"second"') + LIGHTER
    found = read(tmp_path, two)
    assert found.get_exchange_credentials("bitflyer", "second").name == "second"
    assert found.get_exchange_credentials("LIGHTER").name == "deep"
    with pytest.raises(ConfigError, match=r"account\.name: not given, and .* has 2; accepted: 'main', 'second'"):
        found.get_exchange_credentials("BITFLYER")
    with pytest.raises(ConfigError, match=r"--account: 'deep': no such account of BITFLYER in .*; accepted: 'main', "):
        found.get_exchange_credentials("BITFLYER", "deep", chosen_by="--account")


def test_file_that_is_not_there_has_no_accounts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("STALL_ACCOUNTS_FILE", raising=False)
    found = AccountConfigurationManager()
    assert found.accounts == ()
    with pytest.raises(ConfigError, match=r"account\.name: 'x': there is no file /.*/accounts\.toml; accepted: an acc"):
        found.get_exchange_credentials("BITFLYER", "x")
    with pytest.raises(ConfigError, match=r"no account of XLIGHTER; accepted: .*accounts\.example\.toml"):
        found.get_exchange_credentials("lighter")


def test_file_may_be_elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STALL_ACCOUNTS_FILE", str(file(tmp_path, BITFLYER)))
    assert [account.name for account in AccountConfigurationManager().accounts] == ["main"]


def test_account_made_in_code_is_checked_as_well() -> None:
    made = ExchangeCredentials(name="a", exchange="bitflyer", api_key=SecretStr("k"), secret=SecretStr("s"))
    assert made.exchange == "BITFLYER"
