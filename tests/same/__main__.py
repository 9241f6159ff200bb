"""``make same``: run the cases, print what came of them, and compare with another version.

    make same ARGS="--write before.json --keep before"     # before a change
    make same ARGS="--against before.json"                  # after it
    make same ARGS="--against-bin ../other/.venv/bin"       # another checkout, run now

Exit codes: 0 nothing differs, 1 something does, 2 the arguments do not fit. ``--quick`` takes less than a minute. It
leaves out the compiled engine, which compiles itself for minutes where its version is new.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from fnmatch import fnmatchcase
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from tests.same.cases import SAMPLE, Case, all_cases
from tests.same.digests import EXIT_CODES, SAID, Outcome, as_json, differences, from_json, outcome_of

ROOT: Final = Path(__file__).resolve().parents[2]
EXPECTED: Final = Path(__file__).with_name("expected.json")
"""Digests of quick cases without the recorded tapes, rows only."""
_LIMIT_S: Final = 300.0
_COMPILING_S: Final = 1_200.0
_TIMED_OUT: Final = -1
_KINDS: Final = ("decisions", "orders", "trades")


class BadInput(Exception):
    """Arguments that do not fit."""


def parser() -> argparse.ArgumentParser:
    """The flags."""
    flags = argparse.ArgumentParser(prog="python -m tests.same", description="Whether two versions do the same.")
    flags.add_argument(
        "--bin",
        metavar="DIR",
        type=Path,
        default=Path(sys.executable).parent,
        help="the commands to run (default: beside this Python)",
    )
    flags.add_argument("--against", metavar="FILE", type=Path, help="compare with what --write wrote")
    flags.add_argument("--against-bin", metavar="DIR", type=Path, help="compare with the commands in another folder")
    flags.add_argument("--write", metavar="FILE", type=Path, help="write the digests")
    flags.add_argument(
        "--keep",
        metavar="DIR",
        type=Path,
        help="keep what the runs wrote here, so that a later comparison can show lines",
    )
    flags.add_argument("--quick", action="store_true", help="some cases only, without the compiled engine")
    flags.add_argument("--only", metavar="GLOB", default="*", help="cases of these names, such as 'sim-*'")
    flags.add_argument(
        "--rows", action="store_true", help="only exit codes, CSVs and tapes: not what is written for people"
    )
    flags.add_argument(
        "--shared",
        metavar="DIR",
        type=Path,
        help="folder of recorded tapes (default: $STS_SHARED or ../shared, in it data/bitflyer)",
    )
    flags.add_argument("--jobs", metavar="N", type=int, default=2, help="runs at a time (default: %(default)s)")
    return flags


def main(arguments: Sequence[str] | None = None) -> int:
    """Run, print, compare; the exit code."""
    args = parser().parse_args(arguments)
    try:
        return _run(args)
    except BadInput as error:
        sys.stderr.write(f"same: {error}\n")
        return 2


def _run(args: argparse.Namespace) -> int:
    shared = _shared(args.shared)
    cases = selected(all_cases(shared), args.only, quick=args.quick)
    before, was = _read(args.against) if args.against is not None else ({}, None)
    with _folder(args.keep) as work:
        if args.against_bin is not None:
            was = work / "other"
            before = run_cases(cases, args.against_bin, was, shared, args.jobs)
        now = work / "this"
        after = run_cases(cases, args.bin, now, shared, args.jobs)
        if args.rows:
            before = {name: outcome.only_rows() for name, outcome in before.items()}
            after = {name: outcome.only_rows() for name, outcome in after.items()}
        if args.write is not None:
            args.write.write_text(as_json(after, None if args.keep is None else now.resolve()), encoding="utf-8")
        is_compared = args.against is not None or args.against_bin is not None
        found = compare(before, after, was, now) if is_compared else {}
        for name, lines in engines_differ(after).items():
            found.setdefault(name, []).extend(lines)
        _print_table(after, before, found, is_compared=is_compared)
    return _tell(after, before, found, is_compared=is_compared)


def _shared(given: Path | None) -> Path | None:
    """The folder of recorded tapes, as `tests.shared_data` finds it; None where there is none."""
    root = given or Path(os.environ.get("STS_SHARED") or ROOT.parent / "shared")
    folder = root / "data" / "bitflyer"
    if folder.is_dir():
        return folder.resolve()
    if given is not None:
        raise BadInput(f"{given}: no folder data/bitflyer in it")
    return None


def _read(path: Path) -> tuple[dict[str, Outcome], Path | None]:
    try:
        return from_json(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise BadInput(f"{path}: {error}") from error


@contextmanager
def _folder(keep: Path | None) -> Iterator[Path]:
    if keep is None:
        with TemporaryDirectory(prefix="same-") as made:
            yield Path(made)
        return
    if keep.exists() and any(keep.iterdir()):
        raise BadInput(f"{keep}: not empty")
    keep.mkdir(parents=True, exist_ok=True)
    yield keep


def selected(cases: Sequence[Case], only: str, *, quick: bool) -> list[Case]:
    """Those asked for, and those that they read from. Raises BadInput if none was asked for."""
    wanted = [case for case in cases if fnmatchcase(case.name, only) and (case.is_quick or not quick)]
    if not wanted:
        raise BadInput(f"no case {only!r}; there are {', '.join(case.name for case in cases)}")
    names = {case.name for case in wanted} | {case.needs for case in wanted}
    return [case for case in cases if case.name in names]


def run_cases(cases: Sequence[Case], programs: Path, work: Path, shared: Path | None, jobs: int) -> dict[str, Outcome]:
    """Run all in ``work``, several at a time, and tell how far it is. Raises BadInput."""
    programs = programs.absolute()  # not resolved: a virtual environment's Python is known by its path
    missing = {command[0] for case in cases for command in case.commands if not (programs / command[0]).is_file()}
    if missing:
        raise BadInput(f"{programs}: has no {', '.join(sorted(missing))}")
    runs = work / "runs"
    runs.mkdir(parents=True)
    (sample,) = (ROOT / "data" / "sample").glob("*.jsonl.zst")
    shutil.copy(sample, work / "sample.jsonl.zst")
    if shared is not None:
        (work / "shared").symlink_to(shared)
    if any("compiled" in command for case in cases for command in case.commands):
        _compile(programs, work / "compiling")
    started_s = time.monotonic()
    with ThreadPoolExecutor(jobs) as pool:
        for needed in (True, False):
            read = {case.needs for case in cases}
            due = [case for case in cases if (case.name in read) == needed]
            for done, _ in enumerate(pool.map(lambda case: run_case(case, programs, runs / case.name), due), 1):
                if done % 20 == 0 or done == len(due):
                    sys.stderr.write(f"{programs}: {done} of {len(due)}, {time.monotonic() - started_s:.0f} s\n")
    return {case.name: outcome_of(runs / case.name) for case in cases}


def _compile(programs: Path, folder: Path) -> None:
    """Let the compiled engine compile itself, which counts for no case."""
    sys.stderr.write(f"{programs}: compiling, which takes minutes where this version is new\n")
    command = ["backtest", f"../{Path(SAMPLE).name}", "--engine", "compiled", "--duration", "1"]
    run_case(Case("", [command]), programs, folder, limit_s=_COMPILING_S)


def run_case(case: Case, programs: Path, folder: Path, limit_s: float = _LIMIT_S) -> None:
    """Run a case's commands in a new folder, and leave there what they said and their exit codes."""
    folder.mkdir()
    codes = []
    with (folder / SAID[0]).open("wb") as out, (folder / SAID[1]).open("wb") as err:
        for command in case.commands:
            words = [word for given in command[1:] for word in _expanded(given, folder)]
            try:
                done = subprocess.run(
                    [programs / command[0], *words],
                    cwd=folder,
                    env=_environment(),
                    stdin=subprocess.DEVNULL,
                    stdout=out,
                    stderr=err,
                    timeout=limit_s,
                    check=False,
                )
                codes.append(done.returncode)
            except subprocess.TimeoutExpired:
                codes.append(_TIMED_OUT)
    (folder / EXIT_CODES).write_text("\n".join(map(str, codes)) + "\n")


def _expanded(word: str, folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.glob(word)) if "*" in word else [word]


def _environment() -> dict[str, str]:
    """This one's, without what would change what the commands do or say."""
    ours = ("STS_", "BITFLYER_", "PYTHON", "COLUMNS", "LINES", "FORCE_COLOR", "NO_COLOR", "TERM", "LC_", "LANG", "TZ")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    return {**kept, "COLUMNS": "120", "LANG": "C.UTF-8", "TZ": "UTC", "TERM": "dumb"}


def compare(
    before: Mapping[str, Outcome], after: Mapping[str, Outcome], was: Path | None, now: Path
) -> dict[str, list[str]]:
    """What differs, by case. Where all outcomes before are rows only, the others' rows are compared."""
    rows_only = not any(outcome.files.keys() - outcome.rows.keys() for outcome in before.values())
    found = {}
    for name in before.keys() & after.keys():
        new = after[name].only_rows() if rows_only else after[name]
        old_folder = None if was is None else was / "runs" / name
        if lines := list(differences(before[name], new, old_folder, now / "runs" / name)):
            found[name] = lines
    if not before.keys() & after.keys():
        raise BadInput("none of these cases is in what is to be compared with")
    return found


def engines_differ(outcomes: Mapping[str, Outcome]) -> dict[str, list[str]]:
    """Cases in which the compiled engine wrote other rows, or ended otherwise, than the interpreted one."""
    found = {}
    for name, outcome in outcomes.items():
        twin = outcomes.get(name.removesuffix("compiled") + "interpreted")
        if not name.endswith("-compiled") or twin is None:
            continue
        if lines := list(differences(twin.only_rows(), outcome.only_rows())):
            found[name] = [f"unlike interpreted: {line}" for line in lines]
    return found


def _print_table(
    after: Mapping[str, Outcome],
    before: Mapping[str, Outcome],
    found: Mapping[str, Sequence[str]],
    *,
    is_compared: bool,
) -> None:
    sys.stdout.write(f"{'case':<40}{'exit':>6}" + "".join(f"{kind:>11}" for kind in _KINDS) + f"{'files':>7}\n")
    for name, outcome in after.items():
        rows = [
            sum(digest.lines - 1 for file, digest in outcome.files.items() if file.startswith(f"logs/{kind}/"))
            for kind in _KINDS
        ]
        verdict = "DIFFERS" if name in found else "new" if is_compared and name not in before else ""
        codes = ",".join(map(str, outcome.exit_codes))
        cells = "".join(f"{count:>11,}" for count in rows)
        sys.stdout.write(f"{name:<40}{codes:>6}{cells}{len(outcome.files):>7}  {verdict}".rstrip() + "\n")


def _tell(
    after: Mapping[str, Outcome],
    before: Mapping[str, Outcome],
    found: Mapping[str, Sequence[str]],
    *,
    is_compared: bool,
) -> int:
    for name in sorted(found):
        sys.stdout.write(f"\n{name}\n" + "".join(f"  {line}\n" for line in found[name]))
    files = sum(len(outcome.files) for outcome in after.values())
    compared = len(before.keys() & after.keys())
    against = f", {compared} compared" if is_compared else ""
    sys.stdout.write(
        f"\n{len(after)} cases, {files} files{against}: {f'{len(found)} differ' if found else 'no difference'}\n"
    )
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
