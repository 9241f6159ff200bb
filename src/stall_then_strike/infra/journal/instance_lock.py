"""One process per journal and per account: two would each count only part of the orders, fills and calls.

The journal's lock is ``<journal>.lock`` beside it. The account's lock is ``account-<fingerprint>.lock`` in one folder
per machine and user, so that it also excludes a process with another journal. The folder is ``stall_then_strike-<uid>``
in the system's folder for temporary files (``TMPDIR`` if set). It is not in ``XDG_RUNTIME_DIR``: a login session has
that, a service of the same user may not, and they would not see each other's locks. The lock does not reach a service
with a private /tmp, a container or another machine. A shared lock on the folder itself keeps systemd's clean-up of old
temporary files from removing it.
"""

from __future__ import annotations

import os
import re
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Final

from stall_then_strike.infra.file_lock import FileLock, holder, share
from stall_then_strike.types.errors import JournalError

_FINGERPRINT: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")


def account_folder() -> Path:
    """The folder of the accounts' locks. Raises JournalError if this machine has no folder for temporary files."""
    user = os.getuid() if hasattr(os, "getuid") else 0
    try:
        return Path(tempfile.gettempdir()) / f"stall_then_strike-{user}"
    except OSError as error:
        raise JournalError(f"no folder for locks ({error.strerror}); set TMPDIR to one that can be written") from error


def journal_lock(journal: Path) -> Path:
    """The lock file of a journal."""
    return journal.with_name(f"{journal.name}.lock")


class InstanceLock:
    """The locks of a journal and of an account, taken together."""

    def __init__(self, journal: Path, account: str, folder: Path | None = None) -> None:
        """``account`` is a fingerprint of letters, digits, ``-`` and ``_``, else ValueError. Nothing is locked yet."""
        if not _FINGERPRINT.fullmatch(account):
            raise ValueError("an account's fingerprint has 1 to 64 letters, digits, - and _")
        self._folder = account_folder() if folder is None else folder
        self._journal_path = journal
        self._journal = FileLock(journal_lock(journal))
        self._account = FileLock(self._folder / f"account-{account}.lock")
        self._folder_fd: int | None = None

    def take(self) -> None:
        """Take both locks, or none: raises JournalError if another process holds one or a file cannot be made."""
        try:
            self._take(self._journal, f"{self._journal_path} is in use", "stop it first")
            self._hold_folder()
            self._take(self._account, "the account is traded", "stop it first")
        except BaseException:
            self.release()
            raise

    def release(self) -> None:
        """Release both locks."""
        self._account.release()
        fd, self._folder_fd = self._folder_fd, None
        if fd is not None:
            os.close(fd)
        self._journal.release()

    @staticmethod
    def _take(lock: FileLock, what: str, remedy: str) -> None:
        try:
            lock.take()
        except BlockingIOError as error:
            who = None
            with suppress(OSError):
                who = holder(lock.path)
            raise JournalError(f"{what} by {who or 'another process'}; {remedy}") from error
        except OSError as error:
            raise JournalError(f"{lock.path} cannot be locked: {error.strerror}") from error

    def _hold_folder(self) -> None:
        """Make the folder and share-lock it. A folder of another user is refused: they could remove our locks."""
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            if not hasattr(os, "O_DIRECTORY"):
                return
            self._folder_fd = os.open(self._folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
            if os.fstat(self._folder_fd).st_uid != os.getuid():
                raise JournalError(f"{self._folder} belongs to another user; have it removed")
            with suppress(BlockingIOError):  # a clean-up holds it at the moment
                share(self._folder_fd)
        except OSError as error:
            raise JournalError(f"{self._folder} cannot be used for locks: {error.strerror}") from error
