"""Another program that opens a journal: an operator's shell, a backup."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

_PROGRAM = """
import sqlite3, sys
db = sqlite3.connect(sys.argv[1], isolation_level=None, timeout=10)
for statement in sys.argv[2:]:
    db.execute(statement).fetchall()
print("holding", flush=True)
sys.stdin.read()
"""


@contextmanager
def _holding(journal: Path, *statements: str) -> Iterator[int]:
    with subprocess.Popen(
        [sys.executable, "-c", _PROGRAM, str(journal), *statements],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "holding\n"
        yield process.pid
        process.communicate()


def writing(journal: Path) -> AbstractContextManager[int]:
    """Holds the writer's lock; gives its process number."""
    return _holding(journal, "BEGIN IMMEDIATE")


def reading(journal: Path) -> AbstractContextManager[int]:
    """Holds one moment of the journal."""
    return _holding(journal, "BEGIN", "SELECT count(*) FROM facts")
