"""The files for running unattended agree with the program: exit codes, limits, folders, flags, pinned packages."""

from __future__ import annotations

import argparse
import importlib
import re
import shlex
import shutil
import subprocess
import tomllib
from configparser import ConfigParser
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path
from typing import Any

import pytest
import yaml

from stall_then_strike.app.shell import cli
from stall_then_strike.app.shell.command import EXIT_HALTED, EXIT_USAGE
from stall_then_strike.app.shell.command_parser import PROGRAM
from stall_then_strike.app.sts.program import VERBS
from stall_then_strike.config.loader import load_app_config
from stall_then_strike.infra.clock import SystemClock
from stall_then_strike.infra.watch.alerts import CLOSE_S, URLS_VARIABLE, Alerts, AlertUrls

REPO = Path(__file__).resolve().parents[1]
UNITS = ("stall-then-strike", "stall-then-strike-watchdog", "stall-then-strike-console")
SPARE_S = CLOSE_S + 10
"""What a stop needs beyond its cancels: the last alerts, logs, the interpreter's own end."""


def unit(name: str) -> ConfigParser:
    parsed = ConfigParser(interpolation=None, strict=False, delimiters=("=",), comment_prefixes=("#",))
    parsed.optionxform = str  # type: ignore[method-assign,assignment]  # keys keep their case
    parsed.read(REPO / "ops" / f"{name}.service")
    return parsed


def compose() -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load((REPO / "compose.yaml").read_text())
    return loaded


def dockerfile() -> str:
    return (REPO / "Dockerfile").read_text()


def live_config() -> Any:
    return load_app_config(REPO / "configs" / "base.yml", REPO / "configs" / "live.yml")


def commands() -> list[list[str]]:
    """Every command line that these files start, the program first."""
    found = [shlex.split(unit(name)["Service"]["ExecStart"]) for name in UNITS]
    found += [service["command"] for service in compose()["services"].values()]
    found.append(compose()["services"]["trader"]["healthcheck"]["test"][1:])
    shell = re.search(r"^CMD (\[.*\])$", dockerfile(), re.MULTILINE)
    assert shell is not None
    found.append(yaml.safe_load(shell[1]))
    return [[Path(program).name, *flags] for program, *flags in found]


@pytest.mark.parametrize("command", commands(), ids=" ".join)
def test_started_command_exists_and_takes_its_flags(command: list[str]) -> None:
    program, *flags = command
    scripts = tomllib.loads((REPO / "pyproject.toml").read_text())["project"]["scripts"]
    assert program in scripts
    if program == PROGRAM:
        program, *flags = flags
    module = VERBS[program].load()
    parser: argparse.ArgumentParser = module.parser()
    args = parser.parse_args(flags)
    assert (REPO / args.config).is_file()


@pytest.mark.parametrize("name", UNITS)
def test_service_is_not_restarted_when_the_operator_is_needed(name: str) -> None:
    service = unit(name)["Service"]
    assert service["Restart"] == "on-failure"
    assert set(map(int, service["RestartPreventExitStatus"].split())) == {EXIT_USAGE, EXIT_HALTED}


def test_stop_leaves_time_for_cancels_to_be_confirmed() -> None:
    needed_s = float(live_config().account.stop_sec) + SPARE_S
    assert int(unit(UNITS[0])["Service"]["TimeoutStopSec"]) >= needed_s
    assert int(compose()["services"]["trader"]["stop_grace_period"].removesuffix("s")) >= needed_s


def test_watchdog_stops_within_its_time() -> None:
    # One call to the venue may be under way, and alerts.
    needed_s = float(live_config().pybotters.timeout_sec) + CLOSE_S
    assert int(unit(UNITS[1])["Service"]["TimeoutStopSec"]) >= needed_s
    assert int(compose()["services"]["watchdog"]["stop_grace_period"].removesuffix("s")) >= needed_s


def test_stop_signals_are_those_that_the_program_hears() -> None:
    signals = {unit(name)["Service"]["KillSignal"] for name in UNITS}
    signals |= {service["stop_signal"] for service in compose()["services"].values()}
    signals |= set(re.findall(r"^STOPSIGNAL (\w+)$", dockerfile(), re.MULTILINE))
    assert signals <= {number.name for number in cli.STOP_SIGNALS}


@pytest.mark.parametrize("name", UNITS)
def test_service_is_hardened(name: str) -> None:
    service = unit(name)["Service"]
    assert service["User"] not in ("", "root")
    assert service["ProtectSystem"] == "strict"
    assert service["CapabilityBoundingSet"] == ""
    assert service["LimitCORE"] == "0"
    for key in ("NoNewPrivileges", "PrivateTmp", "ProtectHome", "PrivateDevices"):
        assert service[key] == "yes"


def test_services_may_write_where_they_do() -> None:
    folder = Path(unit(UNITS[0])["Service"]["WorkingDirectory"])
    trader, dog = ([Path(p) for p in unit(name)["Service"]["ReadWritePaths"].split()] for name in UNITS[:2])
    journal = folder / live_config().journal.dir
    assert any(journal.is_relative_to(path) for path in trader)
    assert folder / "logs" in trader
    assert dog == [folder / "logs"]
    assert "ReadWritePaths" not in unit(UNITS[2])["Service"], "the console writes nothing"


def test_console_has_no_keys_and_reaches_only_this_machine() -> None:
    service = unit(UNITS[2])["Service"]
    assert service["EnvironmentFile"] != unit(UNITS[0])["Service"]["EnvironmentFile"]
    assert (service["IPAddressDeny"], service["IPAddressAllow"]) == ("any", "localhost")
    assert service["User"] == unit(UNITS[0])["Service"]["User"], "the socket lets no other in"


def test_locks_of_the_account_outlive_a_stop_of_the_service() -> None:
    text = (REPO / "ops" / "stall-then-strike.service").read_text()
    service = unit(UNITS[0])["Service"]
    assert f"Environment=TMPDIR=/run/{service['RuntimeDirectory']}\n" in text
    assert service["RuntimeDirectoryPreserve"] == "yes"


def test_watchdog_is_bound_to_the_trader_in_no_way() -> None:
    section = unit(UNITS[1])["Unit"]
    assert not {"Requires", "BindsTo", "PartOf", "Requisite"} & set(section)
    assert not {"Requires", "BindsTo", "PartOf", "Requisite"} & set(unit(UNITS[0])["Unit"])


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="needs systemd-analyze")
@pytest.mark.parametrize("name", UNITS)
def test_systemd_understands_every_line(name: str, tmp_path: Path) -> None:
    text = (REPO / "ops" / f"{name}.service").read_text()
    copy = tmp_path / f"{name}.service"
    copy.write_text(re.sub(r"^ExecStart=.*$", "ExecStart=/bin/true", text, flags=re.MULTILINE))
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", copy], capture_output=True, text=True, timeout=60, check=False
    )
    assert str(copy) not in done.stderr  # where it names the line that it does not take


@pytest.mark.parametrize("name", ["trader", "watchdog"])
def test_container_has_a_read_only_root_and_no_rights(name: str) -> None:
    service = compose()["services"][name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert "no-new-privileges:true" in service["security_opt"]
    assert service["init"] is True
    mounted = {volume.split(":")[1] for volume in service["volumes"]}
    assert mounted == {"/app/logs", "/app/data"}
    assert set(compose()["volumes"]) == {"logs", "data"}


def test_image_runs_as_a_number_that_is_not_root_and_shares_the_locks() -> None:
    text = dockerfile()
    user = re.findall(r"^USER (\d+):(\d+)$", text, re.MULTILINE)
    assert user
    assert all(int(number) for number in user[-1])
    assert "TMPDIR=/app/data/tmp" in text
    assert 'VOLUME ["/app/logs", "/app/data"]' in text


def test_image_gets_what_it_copies_and_no_secrets() -> None:
    allowed = {line[1:] for line in (REPO / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    copied = {
        word for line in re.findall(r"^COPY (?!--from)(.*) \S+$", dockerfile(), re.MULTILINE) for word in line.split()
    }
    assert {next(p for p in allowed if Path(word).is_relative_to(p)) for word in copied} == allowed
    assert all((REPO / path).exists() for path in allowed)
    assert (REPO / ".dockerignore").read_text().splitlines()[1] == "*"


# --- The pinned list of the image


def pins(name: str) -> dict[str, str]:
    """Package to its whole entry, hashes included."""
    entries = re.findall(r"^([a-z0-9][\w.-]*)==((?:.*\\\n)*.*\n)", (REPO / name).read_text(), re.MULTILINE)
    return dict(entries)


def test_image_installs_a_part_of_what_was_tested() -> None:
    full, run = pins("requirements.lock"), pins("requirements-run.lock")
    assert run
    assert {name: versions(full[name]) for name in run} == {name: versions(entry) for name, entry in run.items()}
    assert not {"pytest", "ruff", "mypy", "poetry-core", "ipykernel"} & set(run)


def versions(entry: str) -> tuple[str, frozenset[str]]:
    return entry.split(" ", 1)[0], frozenset(re.findall(r"sha256:\w+", entry))


def test_image_installs_all_that_running_needs() -> None:
    run = set(pins("requirements-run.lock"))
    project = tomllib.loads((REPO / "pyproject.toml").read_text())["project"]
    wanted = [*project["dependencies"], *project["optional-dependencies"]["alerts"]]
    seen: set[str] = set()
    while wanted:
        name, marker = _requirement(wanted.pop())
        if name in seen or "extra ==" in marker:
            continue
        found = _installed(name)
        if found is None:  # of another platform or Python
            continue
        seen.add(name)
        wanted += found.requires or []
    assert seen >= {"aiohttp", "pybotters", "apprise", "requests", "uvloop", "tzdata"}
    assert seen <= run


def _requirement(text: str) -> tuple[str, str]:
    name = re.match(r"[\w.-]+", text)
    assert name is not None
    return re.sub(r"[-_.]+", "-", name[0]).lower(), text.partition(";")[2]


def _installed(name: str) -> Distribution | None:
    try:
        return distribution(name)
    except PackageNotFoundError:
        return None


def test_build_backend_can_be_cut_from_the_list() -> None:
    command = re.search(r"sed -n '([^']+)' requirements\.lock", dockerfile())
    assert command is not None
    cut = subprocess.run(
        ["sed", "-n", command[1], REPO / "requirements.lock"], capture_output=True, text=True, check=True
    ).stdout
    assert cut.startswith("poetry-core==")
    assert cut.count("sha256:") >= 1
    assert len(re.findall(r"^\S", cut, re.MULTILINE)) == 1
    assert not cut.rstrip("\n").endswith("\\")


@pytest.mark.parametrize("page", ["docs/operations.md", ".env.example"])
def test_examples_of_addresses_are_accepted(page: str) -> None:
    """Of Discord, Slack, LINE and Telegram, in both places."""
    pytest.importorskip("apprise")
    found = tuple(re.findall(r"[`']((?:discord|slack|line|tgram)://[^`'\s]+)[`']", (REPO / page).read_text()))
    assert {url.partition(":")[0] for url in found} == {"discord", "slack", "line", "tgram"}
    assert Alerts(AlertUrls(found), pause_sec=0, clock=SystemClock()).is_on


def test_example_of_the_environment_names_every_variable() -> None:
    text = (REPO / ".env.example").read_text()
    credentials = importlib.import_module("stall_then_strike.infra.bitflyer.credentials")
    lighter = importlib.import_module("stall_then_strike.lighter.signing.account_keys").VARIABLES
    for name in (credentials.KEY_VARIABLE, credentials.SECRET_VARIABLE, URLS_VARIABLE, *lighter):
        assert re.search(rf"^{name}=$", text, re.MULTILINE)
