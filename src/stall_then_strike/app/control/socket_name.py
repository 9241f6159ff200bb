"""Names of a Unix socket. The kernel takes at most 107 bytes, and folders of runs may lie deep."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

_LONGEST: Final = 107


@contextmanager
def short_name(path: Path) -> Iterator[str]:
    """A name that the kernel takes, for as long as the context: the shorter one, or one by the folder's descriptor.

    Raises OSError if the folder cannot be opened.
    """
    name = min(str(path.absolute()), os.path.relpath(path), key=lambda one: len(os.fsencode(one)))
    if len(os.fsencode(name)) <= _LONGEST:
        yield name
        return
    fd = os.open(path.parent, os.O_RDONLY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{fd}/{path.name}"
    finally:
        os.close(fd)
