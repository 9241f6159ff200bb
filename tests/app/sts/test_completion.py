"""`sts completion`: what a shell completes."""

from __future__ import annotations

import shutil
import subprocess
import sys

import pytest

from stall_then_strike.app.shell.command import EXIT_USAGE
from stall_then_strike.app.sts.completion import main, script

pytest.importorskip("shtab")


def test_bash_completes_verbs_and_flags() -> None:
    asked = script("bash") + (
        "\nCOMP_WORDS=(sts wa); COMP_CWORD=1; _shtab_sts; echo ${COMPREPLY[@]}"
        "\nCOMP_WORDS=(sts why --win); COMP_CWORD=2; _shtab_sts; echo ${COMPREPLY[@]}\n"
    )
    done = subprocess.run(["bash", "-c", asked], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.split() == ["watchdog", "--window"]


def test_zsh_takes_its_script() -> None:
    if shutil.which("zsh") is None:
        pytest.skip("zsh is not here")
    subprocess.run(["zsh", "-n"], input=script("zsh"), text=True, check=True, timeout=60)


def test_without_the_extra_it_is_named(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setitem(sys.modules, "shtab", None)
    assert main(["bash"]) == EXIT_USAGE
    assert "needs shtab from the extra completion" in capsys.readouterr().err
