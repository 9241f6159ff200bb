"""``doctor`` as its user knows it: its lines, its exit codes, and that it sends nothing."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from stall_then_strike.infra.bitflyer.credentials import Credentials
from stall_then_strike.infra.clock import SystemClock
from stall_then_strike.infra.journal.writer import Journal, journal_path
from stall_then_strike.sim.bitflyer.keys import PERMISSIONS, ApiKey
from stall_then_strike.sim.bitflyer.private_venue import PrivateSettings, PrivateVenue
from stall_then_strike.sim.bitflyer_server import BitflyerExchange
from stall_then_strike.sim.market import Market
from stall_then_strike.types.dto import BoardState, Reason
from tests.e2e.commands import REPO, TIMEOUT_S, dead_port, read_line, running
from tests.e2e.forked import forked
from tests.infra.journal.journal_rig import TS, changes, memo
from tests.sim.private_rig import NO_CALENDAR, QUIET

KEY, SECRET = "demo-key-of-tests", "demo-secret-of-tests"


def environment(folder: Path, key: str | None, secret: str | None, columns: int) -> dict[str, str]:
    """That of a user with these keys, whose terminal is so wide."""
    env = {name: value for name, value in os.environ.items() if not name.startswith("BITFLYER_")}
    env |= {"COLUMNS": str(columns), "PYTHONPATH": str(REPO / "src"), "HOME": str(folder)}
    given = {"BITFLYER_API_KEY": key, "BITFLYER_API_SECRET": secret}
    return env | {name: value for name, value in given.items() if value is not None}


def flags(base_url: str, folder: Path, *more: str) -> list[str]:
    ws_url = f"{base_url.replace('http', 'ws')}/json-rpc"
    return [
        *("--base", str(REPO / "configs/base.yml"), "--config", str(REPO / "configs/live.yml")),
        *("--set", f"exchange.base_url={base_url}", "--set", f"exchange.ws_url={ws_url}"),
        *("--set", "watch.min_free_disk_mb=1", "--log-dir", str(folder / "logs"), *more),
    ]


def doctor(
    folder: Path, *args: str, key: str | None = KEY, secret: str | None = SECRET, columns: int = 80
) -> subprocess.CompletedProcess[str]:
    """Run it in a folder of its own: no ``.env`` of the developer's is found there."""
    return forked("doctor", *args, cwd=folder, env=environment(folder, key, secret, columns), timeout=TIMEOUT_S)


def verdicts(out: str) -> dict[str, str]:
    """Verdict of each finding by its name."""
    lines = [line.split(maxsplit=1) for line in out.splitlines() if line.startswith(("ok ", "warning ", "fault "))]
    return {rest.partition("  ")[0].strip(): verdict for verdict, rest in lines}


RICH = ("--collateral", "3000000")
"""Enough for the largest position of the defaults."""


@pytest.fixture(scope="module")
def venue() -> Iterator[str]:
    with running("sim_exchange", "--api-key", KEY, "--api-secret", SECRET, "--maintenance", "off", *RICH) as process:
        yield read_line(process, r"ready rest=(\S+)")[1]


@pytest.mark.parametrize("columns", [80, 120])
def test_healthy_venue_is_ready_on_one_line_a_finding(venue: str, tmp_path: Path, columns: int) -> None:
    done = doctor(tmp_path, *flags(venue, tmp_path, "--set", "journal.dir=j", "--log-dir", "l"), columns=columns)
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert lines[-1] == "ready"
    assert set(verdicts(done.stdout).values()) == {"ok"}
    folded = [line for line in lines if line.startswith(" ")]  # the paths of the settings files may be long
    assert len(verdicts(done.stdout)) == len(lines) - 2 - len(folded) == 15
    assert len(folded) <= 2
    assert all(len(line) <= columns for line in lines)
    assert "\x1b" not in done.stdout
    assert [path.name for path in tmp_path.iterdir()] == []


@pytest.mark.parametrize(("secret", "code"), [(SECRET, 0), ("wrong", 2)])
def test_json_has_the_same_findings(venue: str, tmp_path: Path, secret: str, code: int) -> None:
    told = doctor(tmp_path, *flags(venue, tmp_path), secret=secret)
    done = doctor(tmp_path, *flags(venue, tmp_path, "--json"), secret=secret)
    assert (told.returncode, done.returncode, done.stderr) == (code, code, "")
    answer = json.loads(done.stdout)
    assert (answer["ready"], answer["halted"]) == (code == 0, False)
    assert {finding["name"]: finding["verdict"] for finding in answer["findings"]} == verdicts(told.stdout)


def accounts(folder: Path, mode: int = 0o600) -> None:
    """Two accounts of bitFlyer, of which the second has the keys of the venue."""
    path = folder / "accounts.toml"
    path.write_text(
        f'[[accounts]]\nname = "old"\nexchange = "BITFLYER"\napi_key = "other-{KEY}"\nsecret = "other-{SECRET}"\n'
        f'[[accounts]]\nname = "main"\nexchange = "BITFLYER"\napi_key = "{KEY}"\nsecret = "{SECRET}"\n'
    )
    path.chmod(mode)


def test_account_of_the_file_is_chosen_by_its_name_and_trades_with_its_own_key(venue: str, tmp_path: Path) -> None:
    accounts(tmp_path)
    for name, code, verdict in (("main", 0, "ok"), ("old", 2, "fault"), ("none", 2, "fault")):
        more = ("--set", f"account.name={name}", "--set", "journal.dir=j", "--log-dir", "l")
        done = doctor(tmp_path, *flags(venue, tmp_path, *more), key="unused", secret="unused")
        assert (done.returncode, done.stderr) == (code, "")
        assert verdicts(done.stdout).get("api key", "fault") == verdict
        assert KEY not in done.stdout
        assert SECRET not in done.stdout
    assert "account.name: 'none': no such account of BITFLYER in" in " ".join(done.stdout.split())
    assert "accepted: 'old', 'main'" in " ".join(done.stdout.split())


def test_accounts_that_others_may_read_are_not_traded_with(venue: str, tmp_path: Path) -> None:
    accounts(tmp_path, 0o644)
    named = ("--set", "account.name=main")
    done = doctor(tmp_path, *flags(venue, tmp_path, *named), key=None, secret=None)
    assert done.returncode == 2
    assert "accounts.toml: other users may read or change it; accepted: chmod 600" in " ".join(done.stdout.split())
    live = forked(
        "run_live",
        "--yes",
        *flags(venue, tmp_path, *named),
        cwd=tmp_path,
        env=environment(tmp_path, None, None, 80),
        timeout=TIMEOUT_S,
    )
    assert (live.returncode, live.stdout) == (2, "")
    assert (
        live.stderr == "run_live: accounts.toml: other users may read or change it; accepted: chmod 600 accounts.toml\n"
    )
    shown = doctor(tmp_path, *flags(venue, tmp_path, "--check", *named), key=None, secret=None)
    assert (shown.returncode, SECRET in shown.stdout) == (0, False)
    assert "  name: main\n" in shown.stdout


def test_wrong_secret_is_named_and_not_shown(venue: str, tmp_path: Path) -> None:
    done = doctor(tmp_path, *flags(venue, tmp_path), secret="another-secret")
    assert (done.returncode, done.stderr) == (2, "")
    assert verdicts(done.stdout)["api key"] == "fault"
    assert "(venue code -502)" in done.stdout
    assert "not ready: 1 fault" in done.stdout
    assert "another-secret" not in done.stdout
    assert KEY not in done.stdout


def test_keys_of_an_open_file_are_taken_with_a_warning(venue: str, tmp_path: Path) -> None:
    path = tmp_path / ".env"
    path.write_text(f"BITFLYER_API_KEY={KEY}\nBITFLYER_API_SECRET={SECRET}\n")
    path.chmod(0o644)
    done = doctor(tmp_path, *flags(venue, tmp_path), key=None, secret=None)
    assert (done.returncode, verdicts(done.stdout)["credentials"]) == (0, "warning")
    assert "-> chmod 600 .env" in done.stdout
    assert "ready, with 1 warning" in done.stdout


def test_without_keys_all_the_rest_is_checked(venue: str, tmp_path: Path) -> None:
    done = doctor(tmp_path, *flags(venue, tmp_path), key=None, secret="")
    assert (done.returncode, done.stderr) == (2, "")
    found = verdicts(done.stdout)
    assert (found["credentials"], found["venue"], found["clock"]) == ("fault", "ok", "ok")
    assert "BITFLYER_API_KEY and BITFLYER_API_SECRET: neither" in done.stdout
    assert "api key" not in found


def test_unreachable_venue(tmp_path: Path) -> None:
    done = doctor(tmp_path, *flags(f"http://127.0.0.1:{dead_port()}", tmp_path))
    assert (done.returncode, done.stderr) == (1, "")
    assert verdicts(done.stdout)["venue"] == "fault"
    assert "connection refused" in done.stdout


def test_unwritable_folders(venue: str, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    done = doctor(tmp_path, *flags(venue, tmp_path, "--log-dir", "file/logs", "--set", "journal.dir=file/journal"))
    assert (done.returncode, done.stderr) == (1, "")
    found = verdicts(done.stdout)
    assert (found["log folder"], found["journal"]) == ("fault", "fault")
    assert "not ready: 2 faults" in done.stdout


@asynccontextmanager
async def in_process(key: ApiKey) -> AsyncIterator[BitflyerExchange]:
    clock = SystemClock()
    private = PrivateVenue(
        Market(seed=1, start_ns=clock.now_ns(), model=QUIET), [key], PrivateSettings(calendar=NO_CALENDAR)
    )
    async with BitflyerExchange(private.market, clock=clock, private=private) as exchange:
        yield exchange


async def test_missing_permission(tmp_path: Path) -> None:
    weak = ApiKey(key=KEY, secret=SECRET, permissions=frozenset(PERMISSIONS) - {"/v1/me/sendchildorder"})
    async with in_process(weak) as exchange:
        done = await asyncio.to_thread(doctor, tmp_path, *flags(exchange.base_url, tmp_path))
        posts = [record for record in exchange.audit.records() if record.what.startswith("POST")]
    assert (done.returncode, done.stderr, posts) == (2, "", [])
    assert verdicts(done.stdout)["permissions"] == "fault"
    assert "missing: sendchildorder" in done.stdout


async def test_maintenance(tmp_path: Path) -> None:
    async with in_process(ApiKey(key=KEY, secret=SECRET)) as exchange:
        exchange.set_condition(state=BoardState.CLOSED)
        done = await asyncio.to_thread(doctor, tmp_path, *flags(exchange.base_url, tmp_path))
    assert (done.returncode, done.stderr) == (1, "")
    assert verdicts(done.stdout)["venue"] == "fault"
    assert "board CLOSED" in done.stdout


@pytest.mark.parametrize("name", ["sim", "paper"])
def test_without_live_trading_no_keys_are_wanted(venue: str, tmp_path: Path, name: str) -> None:
    done = doctor(
        tmp_path, *flags(venue, tmp_path, "--config", str(REPO / f"configs/{name}.yml")), key=None, secret=None
    )
    assert (done.returncode, done.stderr) == (0, "")
    found = verdicts(done.stdout)
    assert found["venue"] == "ok"
    assert ("clock" in found) is (name == "paper")
    assert "api key" not in found


@pytest.mark.parametrize("env_file", [False, True], ids=["environment", "file with a byte order mark"])
def test_alert_addresses_that_a_run_would_refuse_are_a_fault(
    venue: str, tmp_path: Path, env_file: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("STALL_ALERT_URLS", raising=False)
    if env_file:
        (tmp_path / ".env").write_text("\ufeffSTALL_ALERT_URLS=nonsense\n")
    else:
        monkeypatch.setenv("STALL_ALERT_URLS", "json://localhost nonsense")
    done = doctor(tmp_path, *flags(venue, tmp_path))
    assert (done.returncode, verdicts(done.stdout)["alerts"]) == (2, "fault")
    assert "not ready" in done.stdout
    assert "nonsense" not in done.stdout
    monkeypatch.setenv("STALL_ALERT_URLS", "json://localhost")
    done = doctor(tmp_path, *flags(venue, tmp_path))
    assert (done.returncode, verdicts(done.stdout)["alerts"]) == (0, "ok")


def test_standing_halt_is_not_ready(venue: str, tmp_path: Path) -> None:
    credentials = Credentials(key=KEY, secret=SECRET)
    path = journal_path(tmp_path / "j", "FX_BTC_JPY")
    halted = memo(halted=Reason.OPERATOR, halt_ns=TS, halt_detail="by hand")
    with Journal.open(
        path, product_code="FX_BTC_JPY", account=credentials.fingerprint, now_ns=TS, locks=tmp_path
    ) as journal:
        journal.record(changes(memo=halted))
    done = doctor(tmp_path, *flags(venue, tmp_path, "--set", "journal.dir=j"))
    assert (done.returncode, verdicts(done.stdout)["memory"]) == (3, "warning")
    assert done.stdout.splitlines()[-1].startswith("not ready: halted, with ")


def test_configuration_that_cannot_be_used_is_the_one_finding(tmp_path: Path) -> None:
    done = doctor(tmp_path, *flags("http://127.0.0.1:1", tmp_path, "--set", "risk.max_rejects=0"))
    assert (done.returncode, done.stderr) == (2, "")
    assert verdicts(done.stdout) == {"configuration": "fault"}
    assert "risk.max_rejects: 0 is not" in done.stdout


def test_configuration_in_effect_is_shown_on_demand(tmp_path: Path) -> None:
    done = doctor(tmp_path, *flags("http://127.0.0.1:1", tmp_path, "--check"), key=None)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("env: live\n")


def test_duration_is_none_of_its_flags(tmp_path: Path) -> None:
    done = doctor(tmp_path, "--duration", "3")
    assert done.returncode == 2
    assert "unrecognized arguments" in done.stderr


def test_collateral_that_carries_less_than_the_largest_position_is_told(venue: str, tmp_path: Path) -> None:
    done = doctor(tmp_path, *flags(venue, tmp_path, "--set", "strategy.max_inventory_btc=2"))
    assert (done.returncode, verdicts(done.stdout)["margin"]) == (0, "warning")
    assert "strategy.max_inventory_btc 2" in " ".join(done.stdout.split())
