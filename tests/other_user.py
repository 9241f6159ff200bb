"""What this process may not read or write, also where the tests run as the superuser."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def reachable_folder() -> Iterator[Path]:
    """One that other users reach; pytest's own folders are closed to them."""
    made = Path(tempfile.mkdtemp(dir="/var/tmp"))
    made.chmod(0o755)
    try:
        yield made
    finally:
        shutil.rmtree(made)


@contextmanager
def restricted(path: Path, mode: int) -> Iterator[None]:
    """Inside, a path has these rights, and the superuser has no others."""
    before, user = path.stat().st_mode, os.geteuid()
    path.chmod(mode)
    if not user:
        os.seteuid(65_534)
    try:
        yield
    finally:
        os.seteuid(user)
        path.chmod(before)
