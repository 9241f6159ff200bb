"""One program for all commands."""

from __future__ import annotations

import importlib
import sys
import tomllib
from pathlib import Path

import pytest

from stall_then_strike.app.shell.command import EXIT_DONE, EXIT_USAGE
from stall_then_strike.app.sts.program import VERBS, main

PROJECT = tomllib.loads((Path(__file__).parents[3] / "pyproject.toml").read_text())["project"]
SCRIPTS: dict[str, str] = PROJECT["scripts"]


def test_every_script_is_a_verb_of_the_same_command() -> None:
    named = {name: target for name, target in SCRIPTS.items() if name != "sts"}
    assert named == {name: f"stall_then_strike.app.{VERBS[name].module}:main" for name in named}
    assert set(VERBS) - set(named) == {"init", "completion", "console", "probe", "rehearse", "runs"}


@pytest.mark.parametrize("flag", ["--help", "-h", "help"])
def test_help_names_every_verb(flag: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([flag]) == EXIT_DONE
    out = capsys.readouterr().out
    assert [name for name in VERBS if f"\n  {name} " not in out] == []
    assert max(map(len, out.splitlines())) <= 80


def test_without_a_verb_the_help_comes_and_the_exit_code_of_bad_arguments(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == EXIT_USAGE
    assert capsys.readouterr().out.startswith("usage: sts VERB")


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == EXIT_DONE
    assert capsys.readouterr().out == f"sts {PROJECT['version']}\n"


def test_unknown_verb_is_named_with_those_accepted(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run_liv"]) == EXIT_USAGE
    error = capsys.readouterr().err
    assert error.startswith("sts: run_liv is no verb; accepted: init, doctor")
    assert "run_live" in error


def test_exit_code_and_arguments_are_the_verbs_own(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run-paper", "--check", "--set", "strategy.ttl_ms=501"]) == EXIT_DONE
    assert "ttl_ms: 501" in capsys.readouterr().out
    assert main(["report", str(tmp_path)]) == EXIT_USAGE


@pytest.mark.parametrize("name", VERBS)
@pytest.mark.parametrize("called", ["sts", "own"])
def test_help_of_each_verb_has_examples_that_it_takes_and_exit_codes(
    name: str, called: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", [f"/usr/bin/{'sts' if called == 'sts' else name}"])
    monkeypatch.setenv("COLUMNS", "80")
    with pytest.raises(SystemExit) as end:
        VERBS[name].load().main(["--help"])
    assert end.value.code == 0
    text = capsys.readouterr().out
    spoken = f"sts {name}" if called == "sts" else name
    assert text.startswith(f"usage: {spoken} ")
    examples = text[text.index("\nexamples:\n") : text.index("\nexit codes:\n")]
    assert f"\n  {spoken}" in examples
    assert "\n  0   " in text[text.index("\nexit codes:\n") :]


def test_old_names_hint_at_the_verb(monkeypatch: pytest.MonkeyPatch) -> None:
    parts = importlib.import_module("stall_then_strike.app.shell.command_parser")
    monkeypatch.setattr(sys, "argv", ["/usr/bin/why"])
    assert parts.hint("why") == "why: `sts why` does the same; the short name goes with the next release\n"
    monkeypatch.setattr(sys, "argv", ["/usr/bin/run_live"])
    assert parts.hint("run_live") == ""
    monkeypatch.setattr(sys, "argv", ["/usr/bin/sts"])
    assert parts.hint("why") == ""
