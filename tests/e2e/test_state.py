"""``state resume`` on a real terminal: it asks, and does what it is told."""

from __future__ import annotations

import os
import pty
from pathlib import Path

import pytest

from stall_then_strike.infra.journal.reader import JournalReader
from stall_then_strike.types.dto import Reason
from tests.e2e.commands import TIMEOUT_S
from tests.e2e.forked import Forked
from tests.infra.journal.journal_rig import TS, changes, memo, open_in, path_in


@pytest.mark.parametrize(("answer", "code", "is_halted"), [("y\n", 0, False), ("\n", 1, True), ("no\n", 1, True)])
def test_resume_asks_on_a_terminal(tmp_path: Path, answer: str, code: int, is_halted: bool) -> None:
    with open_in(tmp_path) as journal:
        journal.record(changes(memo=memo(halted=Reason.OPERATOR, halt_ns=TS, halt_detail="by hand")))
    ours, theirs = pty.openpty()
    where = ("--set", f"journal.dir={tmp_path / 'journal'}")
    process = Forked("state", "resume", *where, stdin=theirs, env={**os.environ, "TMPDIR": str(tmp_path)})
    os.close(theirs)
    try:
        os.write(ours, answer.encode())
        out, err = process.communicate(timeout=TIMEOUT_S)
    finally:
        process.kill()
        os.close(ours)
    assert (process.returncode, err) == (code, "")
    assert "HALTED: operator" in out, "it shows what it asks about"
    assert "Lift the halt, so that the next start trades again? [y/N]" in out
    assert ("still halted" in out) is is_halted
    with JournalReader.open(path_in(tmp_path)) as reader:
        told = reader.memo()
    assert told is not None
    assert (told.halted is not None) is is_halted
