"""Deletes the folders of runs, or all in them but their trades."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

from stall_then_strike.infra.logs.run_files import RunFiles
from stall_then_strike.infra.logs.run_list import Run, folder_held
from stall_then_strike.types.errors import LogError


def goes(run: Run, *, keep_trades: bool) -> list[Path]:
    """What is deleted of a run: files and folders in its folder, its record the last."""
    return list(_goes(run.files, keep_trades=keep_trades))


def prune(run: Run, *, keep_trades: bool) -> None:
    """Delete a run. Raises LogError; what is left is then deleted the next time."""
    folder = run.files.folder
    try:
        with folder_held(folder):
            for path in goes(run, keep_trades=keep_trades):
                if path.is_dir() and not path.is_symlink():
                    shutil.rmtree(path)
                else:
                    path.unlink()
            if not keep_trades:
                folder.rmdir()
    except OSError as error:
        raise LogError(f"{error.filename or folder} cannot be deleted: {error.strerror}") from error


def size_of(paths: list[Path]) -> int:
    """Bytes of files, and of all files in folders."""
    every = (file for path in paths for file in (path.rglob("*") if path.is_dir() else [path]))
    return sum(file.lstat().st_size for file in every if not file.is_dir())


def _goes(files: RunFiles, *, keep_trades: bool) -> Iterator[Path]:
    others = {folder for folder in files.each[1:] if not folder.is_symlink()}
    kept = {files.folder / "trades", files.settings, *others} if keep_trades else set[Path]()
    yield from sorted(path for path in files.folder.iterdir() if path not in kept | {files.record})
    if keep_trades:
        for other in sorted(others):
            yield from sorted(path for path in other.iterdir() if path.name != "trades")
    else:
        yield files.record
