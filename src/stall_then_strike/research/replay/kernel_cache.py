"""Where compiled functions are kept between runs: a folder named by a digest of their sources.

numba's own cache only checks the file of the compiled function. A change in a function that it calls, or in a constant
that it imports, would go unnoticed, and a kernel compiled with other constants can write past its arrays. The digest
therefore covers the text of every module that the modules with compiled functions import, directly or not, and numba's
version. This module does not import numba.
"""

from __future__ import annotations

import hashlib
import os
import re
import sys
from collections.abc import Iterable
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Final

import stall_then_strike

_NAME: Final = "stall_then_strike"
_PACKAGE: Final = Path(stall_then_strike.__file__).parent
_ROOTS: Final = ("research/replay/venue_steps.py", "research/tables/scan.py")
"""These import all other modules with compiled functions."""
_LAST: Final = "venue_steps.run"
"""The function that is compiled last: the whole replay."""
_IMPORT: Final = re.compile(rf"^\s*from {_NAME}((?:\.\w+)*) import (?:\(([^)]*)\)|(.*))", re.MULTILINE)


@cache
def sources(roots: tuple[str, ...] = _ROOTS) -> str:
    """A digest of the text of these modules and of all that they import from this package, and of numba's version."""
    digest = hashlib.blake2b(_numba().encode(), digest_size=12)
    for path in sorted(imported(roots)):
        digest.update(path.relative_to(_PACKAGE).as_posix().encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()


def imported(roots: Iterable[str]) -> set[Path]:
    """Files of these modules and of all that they import from this package, directly or not."""
    found: set[Path] = set()
    due = [_PACKAGE / root for root in roots]
    while due:
        path = due.pop()
        if path not in found:
            found.add(path)
            due += _imports(path.read_text(encoding="utf-8"))
    return found


def _imports(text: str) -> list[Path]:
    """Files of the modules that a module's text imports; for a name imported from a module, that module's file.

    A module's packages are imported before it.
    """
    files: list[Path] = []
    for module, many, one in _IMPORT.findall(text):
        folder = _PACKAGE.joinpath(*module.split("."))
        files += (room / "__init__.py" for room in folder.parents if room.is_relative_to(_PACKAGE))
        names = [name.split()[0] for name in (many or one.partition("#")[0]).split(",") if name.strip()]
        files += (folder.with_suffix(".py"), folder / "__init__.py", *(folder / f"{name}.py" for name in names))
    return [file for file in files if file.is_file()]


def _numba() -> str:
    try:
        return version("numba")
    except PackageNotFoundError:
        return ""


def cache_folder() -> Path | None:
    """The user's cache folder, created if missing; None if none can be written."""
    folder = _folder()
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        return None
    return folder if os.access(folder, os.W_OK) else None


def is_compiled() -> bool:
    """Whether an earlier run left the whole replay compiled in the cache, judged by file names."""
    return any(_folder().glob(f"*/{_LAST}-*.{sys.implementation.cache_tag.replace('cpython-', 'py')}.nbi"))


def _folder() -> Path:
    """Path of the folder, below numba's own variable if set. Kernels of other sources have folders beside it."""
    named = os.environ.get("NUMBA_CACHE_DIR")
    base = Path(os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")) / _NAME / "numba"
    return (Path(named) if named else base) / sources()
