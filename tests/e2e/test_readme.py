"""Every command line of README.md and of the site's pages, in a folder that has what the text takes for granted.

What would ask the venue asks the embedded exchange, runs without an end get one, and names that stand for something of
the reader's (TAPE, FILE) are replaced. A line that is in neither list below fails a test.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

import pytest

from stall_then_strike.app.sts.program import VERBS
from stall_then_strike.lighter.signing.account_keys import VARIABLES
from tests.e2e.commands import REPO, SAMPLE, read_line, rows, running
from tests.e2e.forked import COMMANDS, forked

pytestmark = [pytest.mark.slow(2), pytest.mark.timeout(600)]
PAGES: Final = (*REPO.glob("README*.md"), *(REPO / "docs").glob("*.md"))
PROGRAMS: Final = (
    r"poetry|make|tail|cp|python|docker|git|export|sts|run_live|run_paper|(?:sudo -u stall )?\.venv/bin/\w+|systemctl"
    "|systemd-run|journalctl|sqlite3|useradd|mkdir|install|pip"
)
"""What a command line begins with."""
KEY, SECRET = "key-of-the-readme", "made-up"
TIMEOUT_S: Final = 550
"""For the sweep, which may have to compile."""
LIVE_S: Final = 20
"""Seconds of live trading that the commands after it look back on."""


class Run(NamedTuple):
    """How a line is run."""

    flags: str = ""
    """Appended; VENUE stands for the embedded exchange's addresses, ITS_URL for the other one's."""
    words: tuple[tuple[str, str], ...] = ()
    """What is replaced, in order."""
    codes: tuple[int, ...] = (0,)


SHORT = Run("--duration 3")
ON_LIGHTER = Run("ITS_URL")
ON_TAPE = Run(words=(("TAPE [TAPE...]", "tape.jsonl.zst"), ("TAPE", "tape.jsonl.zst"), ("FILE", "latency.txt")))
RUN: Final[dict[str, Run]] = {
    "poetry run run_paper --sim --duration 60": SHORT,
    "poetry run run_paper": Run("--duration 3 VENUE"),
    "poetry run run_paper --sim --speed 10": Run("--duration 20"),
    "poetry run run_paper --sim --speed max --duration 3600": Run("--duration 120"),
    "poetry run run_paper --sim --venue lighter": Run("--speed max --duration 10"),
    "poetry run run_paper --tape FILE": Run(words=(("FILE", "tape.jsonl.zst"),)),
    "poetry run run_paper --check --set strategy.ttl_ms=500": Run(),
    "poetry run run_paper --sim --speed max --duration 3600 --set strategy.quote_mode=join": Run("--duration 60"),
    "run_paper --sim --config configs/grid.yml": SHORT,
    "run_paper --sim --config examples/two_sided.yml": SHORT,
    "tail -f logs/latest/runtime/app.log": Run(words=(("-f ", ""),)),
    "tail -f logs/latest/decisions/decisions-$(date -u +%Y%m%d).csv": Run(words=(("-f ", ""),)),
    "poetry run run_live --config configs/sim.yml --yes --duration 60": SHORT,
    "poetry run run_live --config configs/lighter-sim.yml --yes --duration 60": SHORT,
    "run_live --config configs/grid.yml": Run("--yes --duration 3"),
    "run_live --config configs/lighter-grid.yml": Run("--yes --duration 3"),
    ".venv/bin/run_live --config configs/live.yml --check": Run(),
    "cp .env.example .env && chmod 600 .env": Run(),
    "poetry run sts doctor": Run("VENUE"),
    "poetry run sts probe": Run("VENUE --duration 8"),
    "poetry run sts probe --public": Run("VENUE --duration 8 --report public.md"),
    "poetry run sts probe --config configs/sim.yml --duration 30": Run("--duration 8 --report sim.md"),
    "poetry run sts probe --config configs/lighter-sim.yml --duration 30": Run("--duration 8 --report lighter.md"),
    "poetry run sts rehearse --config configs/sim.yml --yes --round-trip": Run("--report trip.md"),
    "poetry run run_live": Run("--yes --duration 3 VENUE"),
    "poetry run run_live --shadow": Run("--duration 3 --log-dir shadow VENUE"),
    "poetry run run_live --shadow --config configs/sim.yml --duration 60": Run("--log-dir shadow-sim --duration 3"),
    "poetry run sts backtest TAPE [TAPE...]": ON_TAPE,
    "poetry run sts backtest TAPE --engine interpreted": ON_TAPE,
    "poetry run sts backtest TAPE --seed 2 --set paper.queue_model=power --log-dir data/results/power": ON_TAPE,
    "poetry run sts backtest TAPE --latency-file FILE": ON_TAPE,
    "poetry run sts sweep --tape TAPE --grid strategy.stall_T_ms=100,250,500 --grid strategy.ttl_ms=400,800": Run(
        "--serial", words=ON_TAPE.words
    ),
    "poetry run sts report logs --tape data/raw": Run(),
    "poetry run sts report logs --all": Run(),
    "poetry run sts report logs": Run(),
    "poetry run sts report logs-a --compare logs-b --lang ja --out ab.html": Run(),
    "sts runs": Run(),
    "sts runs pack --older-than 7": Run(),
    "sts runs prune --older-than 90 --keep-trades": Run("--yes"),
    "poetry run sts state": Run(),
    "poetry run sts state --json": Run(),
    'poetry run sts state resume --reason "looked at it"': Run("--yes", codes=(0, 1)),  # there is no halt to lift
    "poetry run sts state --log-dir logs": Run(),
    "poetry run sts state export DIR": Run(words=(("DIR", "exported"),)),
    "poetry run sts runs": Run(),
    "poetry run sts why now": Run(codes=(0, 1)),  # the run may be over for too long
    "poetry run sts why now --window 60": Run(codes=(0, 1)),
    "sts watchdog --now": Run("--yes VENUE"),
    "sts refresh_instruments --exchange XLIGHTER": Run("ITS_URL --cache list.json"),
    "poetry run sts why 07:30:13 --window 5": Run(codes=(0, 1)),  # of today, whatever was then
    "poetry run sts why -5m": Run(words=(("-5m", "-5s"),), codes=(0, 1)),
    "poetry run sts why JRF20261121-113112-753732": Run(words=(("JRF20261121-113112-753732", "ORDER"),)),
    "poetry run sts record": Run("--duration 8 VENUE"),
    "poetry run sts tape info data/raw/*.jsonl.zst": Run(),
    "poetry run sts tape check data/raw/*.jsonl.zst": Run(codes=(0, 1)),  # a minute is short for some of its questions
    "poetry run sts tape cut FILE --from +60 --to 2026-01-05T12:00:00Z -o PART.jsonl.zst": Run(
        words=(("FILE", "tape.jsonl.zst"),)
    ),
    "poetry run sts tape merge A B --drop-copies -o BOTH.jsonl.zst": Run(
        words=(("A B", "tape.jsonl.zst tape.jsonl.zst"),)
    ),
    "poetry run sts tape convert FILE --to parquet": Run(words=(("FILE", "tape.jsonl.zst"),)),
    "poetry run run_live --set record.enabled=true": Run("--yes --duration 3 VENUE"),
    "poetry run sts calibrate data/raw": Run(),
    "poetry run sts backtest TAPE --config data/results/calibration/calibration.yml": ON_TAPE,
    "poetry run sts report data/results/calibration": Run(),
    "poetry run sts calibrate data/journal/FX_BTC_JPY.sqlite3 --latencies-only": Run(),
    "poetry run sts lighter markets": ON_LIGHTER,
    "poetry run sts lighter balance": ON_LIGHTER,
    "poetry run sts lighter place ETH buy 0.01 --price 2000 --post-only": ON_LIGHTER,
    "poetry run sts lighter place ETH sell 0.01 --market": ON_LIGHTER,
    "poetry run sts lighter orders": ON_LIGHTER,
    "poetry run sts lighter positions": ON_LIGHTER,
    "poetry run sts lighter cancel-all": ON_LIGHTER,
}
_PLACE: Final = re.compile(r"poetry run |(?:sudo -u stall )?\.venv/bin/")
_OURS: Final = re.compile(rf"(?:{_PLACE.pattern})(?:sts )?|sts ")
AS_INSTALLED: Final = {_PLACE.sub("", line).split()[0]: line for line in reversed(RUN) if _OURS.match(line)}.values()
"""The first line of each script, through bash. The others are forked."""
SHELL: Final = set("*?$&|<>;`")
NOT_RUN: Final = {
    "poetry run run_paper --sim": "as the one of a minute is run above",
    "run_live --config configs/lighter-sim.yml": "as the one of a minute is run above",
    "tail -F logs/latest/runtime/app.log": "as tail -f is run above",
    "tail -F logs/latest/decisions/decisions-$(date -u +%Y%m%d).csv": "as tail -f is run above",
    "poetry run sts rehearse": "asks on a terminal; test_rehearse.py answers",
    "poetry run sts rehearse --round-trip": "asks on a terminal; test_rehearse.py answers",
    "poetry run sts probe --config configs/lighter.yml": "asks Lighter; test_probe.py asks the embedded one",
    "poetry run run_paper --sim --speed max --duration 600 --seed 7": "the test of its summary, below, runs it",
    "poetry run sts console": "runs until it is stopped; tests/app/web has it",
    "make demo": "sets up another environment; what it then runs is the first command of the list above",
    "make test": "is what runs this",
    "make setup": "made what runs this",
    "make docs": "as test_site.py builds the site",
    "poetry install --all-extras --with notebook": "needs an index with the JSON interface",
    "poetry run pytest": "is what runs this",
    "poetry run sts sweep --tape s3://bucket/a.jsonl.zst --search strategy.stall_T_ms=50:2000:log --trials 200 "
    "--objective pnl,max_drawdown --folds 5 --scheduler tcp://10.0.0.5:8786": "needs a bucket and a cluster",
    "poetry run sts record --product FX_BTC_JPY --product XRP_JPY:0.001 --out data/raw": "the exchange has one product",
    "sts doctor --config configs/lighter.yml": "asks Lighter; test_lighter_venue.py asks the embedded one",
    'sudo -u stall .venv/bin/sts ctl pause --reason "CPI"': "test_ctl.py commands a run",
    "sudo -u stall .venv/bin/sts ctl status": "test_ctl.py commands a run",
    "sudo -u stall .venv/bin/sts state": "is run above, as oneself",
    'sudo -u stall .venv/bin/sts state resume --reason "..."': "is run above, as oneself",
    "pip install 'stall-then-strike[console]'": "test_install.py installs a wheel",
    "poetry run sts console --run 20261130T192204Z --port 9000": "runs until it is stopped; tests/app/web has it",
    "pip install 'stall-then-strike[lighter]'": "test_install.py installs a wheel",
    **dict.fromkeys(
        (
            "cp ops/*.service /etc/systemd/system/ && systemctl daemon-reload",
            "docker compose build",
            "docker compose exec trader state show",
            "docker compose exec trader tail -F logs/latest/runtime/app.log",
            "docker compose run --rm trader sts doctor --config configs/live.yml",
            "docker compose up --detach",
            "git clone URL /opt/stall-then-strike && cd /opt/stall-then-strike",
            "git pull && make setup",
            "install -d -m 0700 /etc/stall-then-strike",
            "install -m 0600 /dev/null /etc/stall-then-strike/keys.env",
            "journalctl -fu stall-then-strike",
            "mkdir -p logs data/journal && chown -R stall: logs data",
            "sqlite3 data/journal/FX_BTC_JPY.sqlite3 \".backup 'journal-$(date -u +%Y%m%d).sqlite3'\"",
            "systemctl enable --now stall-then-strike",
            "systemctl enable --now stall-then-strike-console",
            "systemctl enable --now stall-then-strike-watchdog",
            "systemctl restart stall-then-strike-watchdog",
            "systemctl start stall-then-strike",
            "systemctl stop stall-then-strike",
            (
                "systemd-run --pipe --wait -p User=stall -p WorkingDirectory=$PWD "
                "-p EnvironmentFile=/etc/stall-then-strike/keys.env .venv/bin/sts doctor --config configs/live.yml"
            ),
            "useradd --system --home-dir /opt/stall-then-strike --shell /usr/sbin/nologin stall",
        ),
        "changes the machine; test_operations.py reads the files that it uses",
    ),
    "poetry run sts record --venue lighter --product ETH-USDC --product SOL": "as test_lighter_venue.py records them",
}


def lines() -> list[str]:
    """Command lines of the pages, each once, without what is said beside them."""
    text = "\n".join(page.read_text(encoding="utf-8") for page in PAGES).replace("\\\n", " ")
    found = re.findall(rf"^ {{4}}((?:{PROGRAMS}) .*)$", text, re.MULTILINE)
    return sorted({re.sub(r"\s+", " ", re.sub(r"\s#\s.*$", "", line)).strip() for line in found})


def test_every_command_line_is_run_or_has_a_reason() -> None:
    assert lines() == sorted([*RUN, *NOT_RUN])


@pytest.mark.parametrize("line", NOT_RUN)
def test_line_that_is_not_run_is_one_that_its_program_takes(line: str) -> None:
    program, *flags = shlex.split(_OURS.sub("", line))
    if program == "make":
        subprocess.run(["make", "--dry-run", *flags], cwd=REPO, capture_output=True, check=True)
    elif program in VERBS:
        VERBS[program].load().parser().parse_args(flags)


class Room(NamedTuple):
    """A folder as its owner has it after a while, and the exchange that stands for the venue."""

    folder: Path
    venue: str
    lighter: str
    """Flags that name Lighter's exchange."""
    account: dict[str, str]
    """Variables of an account there."""

    def run(
        self, line: str, folder: Path | None = None, *, as_installed: bool = False
    ) -> subprocess.CompletedProcess[str]:
        """A command line in bash, where ``poetry run`` is this environment; or forked, if it asks no shell for more."""
        line = line.replace("VENUE", self.venue).replace("ITS_URL", self.lighter)
        where = folder or self.folder
        own = {
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "TMPDIR": str(where),
            "BITFLYER_API_KEY": KEY,
            "BITFLYER_API_SECRET": SECRET,
            "COLUMNS": "120",
            **self.account,
        }
        command, *words = shlex.split(_PLACE.sub("", line))
        if command in COMMANDS and not as_installed and not SHELL & set(line):
            return forked(command, *words, cwd=where, env={**os.environ, **own}, timeout=TIMEOUT_S)
        with subprocess.Popen(
            ["bash", "-c", 'poetry() { shift; "$@"; }\n' + line],
            cwd=where,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
            env={**os.environ, **own},
        ) as process:
            try:
                out, err = process.communicate(timeout=TIMEOUT_S)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)  # bash and what it started
                raise
        return subprocess.CompletedProcess(line, process.returncode, out, err)


@pytest.fixture(scope="module")
def room(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Room]:
    """It has traded live for a while, recording, and has two paper runs to compare."""
    folder = tmp_path_factory.mktemp("reader")
    shutil.copy(REPO / ".env.example", folder)
    shutil.copy(SAMPLE, folder / "tape.jsonl.zst")
    for name in ("configs", "examples"):
        (folder / name).symlink_to(REPO / name)
    (folder / "latency.txt").write_text("5\n70\n300\n")
    with (
        running("sim_exchange", "--api-key", KEY, "--api-secret", SECRET, "--maintenance", "off") as exchange,
        running("sim_lighter", "--markets", "ETH") as lighter,
    ):
        rest, ws = read_line(exchange, r"rest=(\S+) ws=(\S+)").groups()
        venue = f"--set exchange.base_url={rest} --set exchange.ws_url={ws} --set session.quiet=[]"
        url = read_line(lighter, r"rest=(\S+)")[1]
        assert lighter.stdout is not None
        account = re.findall(r"index=(\d+)|key=(\w+)", lighter.stdout.readline())  # it came with the line before
        values = ["".join(found) for found in account]
        room = Room(folder, venue, f"--base-url {url}", dict(zip(VARIABLES, values, strict=True)))
        for line in (
            f"run_live --yes --duration {LIVE_S} --set record.enabled=true VENUE",
            "run_paper --sim --speed max --duration 60 --seed 1 --log-dir logs-a",
            "run_paper --sim --speed max --duration 60 --seed 2 --log-dir logs-b",
            "calibrate data/raw",
        ):
            done = room.run(line)
            assert done.returncode == 0, f"{line}\n{done.stdout}{done.stderr}"
        yield room


@pytest.mark.parametrize("line", RUN)
def test_line_runs(line: str, room: Room, tmp_path: Path) -> None:
    how, command = RUN[line], line
    for before, after in how.words:
        command = command.replace(before, after)
    if "ORDER" in command:
        order = next(row["order_id"] for row in rows(room.folder / "logs", "orders") if row["order_id"])
        command = command.replace("ORDER", order)
    folder = shutil.copytree(room.folder, tmp_path / "copy", symlinks=True)
    if "run_paper" in line or "backtest" in line:
        shutil.rmtree(folder / "logs")  # of the live run, and a folder belongs to runs of one kind
    done = room.run(f"{command} {how.flags}", folder, as_installed=line in AS_INSTALLED)
    assert done.returncode in how.codes, done.stdout + done.stderr
    assert "Traceback" not in done.stdout + done.stderr


def test_summary_that_is_explained_is_the_one_of_its_run(room: Room, tmp_path: Path) -> None:
    page = (REPO / "docs/start.md").read_text(encoding="utf-8")
    run, shown = re.findall(r"^ {4}(.* --seed 7)$\n\n```text\n([^`]+)```", page, re.MULTILINE)[0]
    done = room.run(run, tmp_path)
    assert done.returncode == 0, done.stderr
    said = " ".join(done.stdout.replace("│", " ").split())
    assert [line for line in shown.splitlines() if " ".join(line.split()) not in said] == [], "docs/start.md is old"
