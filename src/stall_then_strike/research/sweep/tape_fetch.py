"""Fetches tapes by URL and prepares their columns on this machine.

The process that starts a sweep reads each tape once, for its digest. A worker that has columns with the same digests
fetches nothing. Any other worker fetches the tapes, checks their digests, prepares the columns and keeps only these.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Final
from urllib.parse import unquote, urlsplit

from stall_then_strike.config.models import AppConfig
from stall_then_strike.research.tables.columns import Columns
from stall_then_strike.research.tables.prepare import held, key_of, prepare, tape_digest
from stall_then_strike.types.errors import ConfigError, FeedError

_BLOCK: Final = 4 << 20


@dataclass(frozen=True, slots=True)
class Tape:
    """One tape."""

    url: str
    digest: bytes
    """Digest of its bytes."""


class TapeUnavailable(FeedError):
    """A tape cannot be fetched here, or has changed since the sweep began."""


def local_path(url: str) -> Path | None:
    """The local file that a URL names; None if it must be fetched."""
    if url.startswith("file://"):
        return Path(unquote(url.removeprefix("file://")))
    return None if "://" in url or "::" in url else Path(url)


def shown(url: str) -> str:
    """A URL without its possible secrets: password and query."""
    if local_path(url) is not None or "::" in url:
        return url.partition("?")[0] if "://" in url else url
    parts = urlsplit(url)
    user, at, host = parts.netloc.rpartition("@")
    user = f"{user.partition(':')[0]}:***" if ":" in user else user
    return parts._replace(netloc=f"{user}{at}{host}", query="***" if parts.query else "", fragment="").geturl()


def absolute(url: str) -> str:
    """A path made absolute, for other processes; other URLs unchanged."""
    path = local_path(url)
    return url if path is None else str(path.absolute())


def prepared_here(urls: Sequence[str], cfg: AppConfig, cache: Path) -> tuple[tuple[Tape, ...], str, Columns]:
    """The tapes, the columns' key, and the columns. Raises ConfigError, TapeError, FeedError, OSError."""
    with _fetched(urls, cache) as paths:
        tapes = tuple(Tape(absolute(url), tape_digest(path)) for url, path in zip(urls, paths, strict=True))
        key = key_of([tape.digest for tape in tapes], cfg)
        return tapes, key, held(key, cache) or prepare(paths, cfg, cache, key=key)


def columns_of(tapes: Sequence[Tape], key: str, cfg: AppConfig, cache: Path) -> Columns:
    """The columns on a worker. Raises TapeUnavailable, TapeError, FeedError, OSError."""
    if found := held(key, cache):
        return found
    try:
        with _fetched([tape.url for tape in tapes], cache) as paths:
            for tape, path in zip(tapes, paths, strict=True):
                if tape_digest(path) != tape.digest:
                    raise TapeUnavailable(f"{shown(tape.url)} changed since the sweep began")
            return prepare(paths, cfg, cache, key=key)
    except (ConfigError, OSError) as error:
        raise TapeUnavailable(str(error)) from error


@contextmanager
def _fetched(urls: Sequence[str], cache: Path) -> Iterator[list[Path]]:
    """Local files of these tapes, while the block lasts."""
    paths = [local_path(url) for url in urls]
    for path in paths:
        if path is not None and not path.is_file():
            raise ConfigError(f"{path}: not a file; accepted: a tape (.jsonl or .jsonl.zst), by path or URL")
    if None not in paths:
        yield [path for path in paths if path is not None]
        return
    cache.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix=".fetching-", dir=cache))
    try:
        yield [
            path if path is not None else _fetch(url, folder / str(number))
            for number, (url, path) in enumerate(zip(urls, paths, strict=True))
        ]
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _fetch(url: str, folder: Path) -> Path:
    import fsspec

    folder.mkdir()
    target = folder / (PurePosixPath(urlsplit(url.rpartition("::")[2]).path).name or "tape")
    try:
        with fsspec.open(url, "rb") as source, target.open("wb") as file:
            shutil.copyfileobj(source, file, _BLOCK)
    except (FileNotFoundError, ImportError, ValueError) as error:
        raise ConfigError(f"{shown(url)}: {_reason(error, url)}; accepted: a tape that can be reached") from None
    except Exception as error:  # noqa: BLE001 - each storage has errors of its own
        raise TapeUnavailable(f"{shown(url)}: cannot be fetched: {_reason(error, url)}") from None
    return target


def _reason(error: Exception, url: str) -> str:
    """The error's first line, which may quote the URL."""
    text = (str(error).splitlines() or [""])[0].replace(url, shown(url))
    return f"{type(error).__name__} {text}".strip()
