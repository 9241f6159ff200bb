"""The comparison itself, and this version against the committed digests."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.same import __main__ as same
from tests.same.cases import QUOTES, SETTINGS, all_cases
from tests.same.digests import as_json, comparable, differences, from_json, outcome_of

RENEW = "make same ARGS=\"--quick --rows --only 's*' --write tests/same/expected.json\""


def left(folder: Path, *, exit_code: int = 0, price: int = 100, said: str = "done\n") -> Path:
    """What a run might leave behind."""
    for name, text in (
        ("exit codes", f"{exit_code}\n"),
        ("stdout", said),
        ("stderr", ""),
        ("logs/trades/trades-20260105.csv", f"ts,price\n1,{price}\n"),
        ("logs/runtime/app.log", f"2026-11-29 11:57:57.0{exit_code}Z | INFO | fill at {price}\n"),
        ("data/cache/any.json", "{}"),
    ):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder


def found(before: Path, after: Path) -> list[str]:
    return list(differences(outcome_of(before), outcome_of(after), before, after))


def test_two_runs_that_left_the_same_do_not_differ(tmp_path: Path) -> None:
    assert found(left(tmp_path / "a"), left(tmp_path / "b")) == []


def test_one_changed_byte_of_a_csv_is_found_and_shown(tmp_path: Path) -> None:
    app_log, csv = found(left(tmp_path / "a"), left(tmp_path / "b", price=101))
    assert app_log.startswith("logs/runtime/app.log: 1 lines\n")
    assert csv == ("logs/trades/trades-20260105.csv: 2 lines\n    line 2 was '1,100'\n    line 2 is  '1,101'")


def test_a_byte_more_at_the_end_of_a_csv_is_found(tmp_path: Path) -> None:
    before, after = left(tmp_path / "a"), left(tmp_path / "b")
    with (after / "logs/trades/trades-20260105.csv").open("a") as file:
        file.write("\n")
    assert found(before, after) == [
        "logs/trades/trades-20260105.csv: 2 lines, now 3\n    line 3 was None\n    line 3 is  ''"
    ]


def test_another_exit_code_and_files_that_come_and_go_are_found(tmp_path: Path) -> None:
    before, after = left(tmp_path / "a"), left(tmp_path / "b", exit_code=3)
    (before / "stdout").unlink()
    (after / "stderr").unlink()
    assert found(before, after) == ["exit codes: 0, now 3", "stderr: no longer written", "stdout: new"]


def test_other_words_do_not_count_where_only_rows_do(tmp_path: Path) -> None:
    before, after = outcome_of(left(tmp_path / "a")), outcome_of(left(tmp_path / "b", said="finished\n"))
    assert list(differences(before, after)) == ["stdout: 1 lines"]
    assert list(differences(before.only_rows(), after.only_rows())) == []


def test_what_the_wall_clock_wrote_is_not_compared(tmp_path: Path) -> None:
    log = tmp_path / "stdout"
    log.write_text(
        "begin, as the tape is short\n"
        "replaying: compiling first, once\n"
        "\n"
        "│ decision latency │ p50 34 µs, p99 1.2 ms of 1,396   │\n"
    )
    assert comparable(log) == "begin\n\n│ decision latency │ p50 *, p99 * of 1,396 │\n".encode()


def test_digests_are_read_as_they_were_written(tmp_path: Path) -> None:
    outcomes = {"one": outcome_of(left(tmp_path / "a"))}
    assert from_json(as_json(outcomes, tmp_path)) == (outcomes, tmp_path)
    assert from_json(as_json(outcomes, None)) == (outcomes, None)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"cases": {"a": {}}, "kept": ""}'])
def test_another_file_is_no_file_of_digests(tmp_path: Path, text: str) -> None:
    path = tmp_path / "before.json"
    path.write_text(text)
    assert same.main(["--against", str(path)]) == 2


def test_commands_that_are_not_there_and_cases_that_are_none_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert same.main(["--bin", str(tmp_path), "--only", "refused-no-tape"]) == 2
    assert same.main(["--only", "no-such-case"]) == 2
    said = capsys.readouterr().err
    assert "has no backtest" in said
    assert "no case 'no-such-case'" in said


def test_engines_that_write_other_rows_are_named(tmp_path: Path) -> None:
    outcomes = {
        "x-interpreted": outcome_of(left(tmp_path / "a")),
        "x-compiled": outcome_of(left(tmp_path / "b", price=101)),
        "y-interpreted": outcome_of(left(tmp_path / "c")),
        "y-compiled": outcome_of(left(tmp_path / "d", said="other words\n")),
    }
    assert list(same.engines_differ(outcomes)) == ["x-compiled"]


def test_every_case_has_its_own_name_and_every_quote_mode_and_setting_has_cases() -> None:
    names = [case.name for case in all_cases(None)]
    assert len(set(names)) == len(names)
    words = {word for name in names for word in name.split("-")}
    assert words >= {*QUOTES, *SETTINGS, "interpreted", "compiled", "run_paper", "sim"}


def test_two_runs_of_a_command_are_compared_with_each_other(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = tmp_path / "before.json"
    assert same.main(["--only", "refused-no-tape", "--write", str(before)]) == 0
    before.write_text(before.read_text().replace('"exit codes": [\n    2', '"exit codes": [\n    1'))
    assert same.main(["--only", "refused-no-tape", "--against", str(before)]) == 1
    assert "exit codes: 1, 2, now 2, 2" in capsys.readouterr().out


@pytest.mark.slow(30)
@pytest.mark.timeout(600)
def test_this_version_writes_the_rows_that_are_expected_of_it(capsys: pytest.CaptureFixture[str]) -> None:
    code = same.main(["--quick", "--rows", "--only", "s*", "--against", str(same.EXPECTED)])
    assert code == 0, (
        f"{capsys.readouterr().out}\nIf the rows were meant to change, say so in CHANGELOG.md and renew the digests:"
        f"\n    {RENEW}"
    )
