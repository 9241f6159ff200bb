"""The files of a run: the one telling of where they are.

A run has a folder of its own in the log folder. The folder has ``run.json``, the runtime log, and the CSVs of the run's
first instrument; those of each other instrument are in a folder named after it. A run on paper or on the embedded
exchange keeps its journal here as well.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import zstandard

from stall_then_strike.infra.journal.writer import OWN_FOLDER, journal_path

KINDS: Final = ("trades", "orders", "decisions")
"""Folders of CSVs, and the first words of their files' names."""
PACKED: Final = ".zst"
LATEST: Final = "latest"
"""The link to the folder of the run that began to trade last."""
_DAY: Final = re.compile(r"-(\d{8})\.csv(\.zst)?$")


@dataclass(frozen=True, slots=True)
class RunFiles:
    """Where the files of a run are, or of rows that are laid out as a run's."""

    folder: Path
    instruments: tuple[str, ...] = ()
    """Products. The first one's CSVs are in the folder itself; empty if they are not known."""

    @property
    def record(self) -> Path:
        """What the run was."""
        return self.folder / "run.json"

    @property
    def settings(self) -> Path:
        """The effective configuration at its start."""
        return self.folder / "config.yml"

    @property
    def runtime(self) -> Path:
        """The folder of the runtime log."""
        return self.folder / "runtime"

    @property
    def socket(self) -> Path:
        """The control socket, while the run goes."""
        return self.folder / "control.sock"

    @property
    def journals(self) -> Path:
        """The folder of the run's own journal, if it keeps one; that of an account is in ``journal.dir``."""
        return self.folder / OWN_FOLDER

    @property
    def journal(self) -> Path:
        """The run's own journal, if it keeps one and its instruments are known."""
        return journal_path(self.journals, self.instruments[0])

    @property
    def each(self) -> list[Path]:
        """The folder of each instrument's CSVs."""
        return [self.folder, *(self.folder / product for product in self.instruments[1:])]

    def of(self, product: str) -> Path:
        """The folder of an instrument's CSVs."""
        if self.instruments:
            return self.folder if product == self.instruments[0] else self.folder / product
        own = self.folder / product
        return own if own.is_dir() else self.folder


def day_files(folder: Path, kind: str) -> list[tuple[str, Path]]:
    """The CSVs of a kind in an instrument's folder with their days, oldest first, packed or not. Raises OSError.

    A packed file beside its original is what an interrupted packing left, and is not among them.
    """
    paths = sorted((folder / kind).glob(f"{kind}-*.csv*"))
    plain = {path.name for path in paths}
    return [
        (found[1], path)
        for path in paths
        if (found := _DAY.search(path.name)) and (not found[2] or path.name.removesuffix(PACKED) not in plain)
    ]


def read_whole(path: Path) -> bytes:
    """The bytes of a CSV, unpacked. Raises OSError."""
    raw = path.read_bytes()
    if path.suffix != PACKED:
        return raw
    try:
        return zstandard.ZstdDecompressor().decompressobj().decompress(raw)
    except zstandard.ZstdError as error:
        raise OSError(0, f"damaged: {error}", str(path)) from error
