"""One process per journal and per account: two would each count only half of the orders, fills and calls.

The journal's lock is ``<journal>.lock`` beside it. The account's is ``account-<fingerprint>.lock`` in one folder of
this machine and user, so that it also holds between two journals: ``stall_then_strike-<uid>`` under the system's folder
for temporary files, which is ``TMPDIR`` where that is set. (Not under ``XDG_RUNTIME_DIR``: a login session has it, a
service of the same user may not, and the two would not see each other.) A service with a private /tmp, a container and
another machine are not seen. The folder itself is held with a shared lock, which keeps systemd's cleaning of old
temporary files away from it.
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
    """Where the locks of accounts are on this machine. Raises JournalError if it has no folder for such files."""
    user = os.getuid() if hasattr(os, "getuid") else 0
    try:
        return Path(tempfile.gettempdir()) / f"stall_then_strike-{user}"
    except OSError as error:
        raise JournalError(f"no folder for locks ({error.strerror}); set TMPDIR to one that can be written") from error


def journal_lock(journal: Path) -> Path:
    """The lock file of a journal."""
    return journal.with_name(f"{journal.name}.lock")


class InstanceLock:
    """Both locks, taken together."""

    def __init__(self, journal: Path, account: str, folder: Path | None = None) -> None:
        """``account`` is a fingerprint: letters, digits, ``-`` and ``_``, else ValueError. Nothing is taken yet."""
        if not _FINGERPRINT.fullmatch(account):
            raise ValueError("an account's fingerprint has 1 to 64 letters, digits, - and _")
        self._folder = account_folder() if folder is None else folder
        self._journal_path = journal
        self._journal = FileLock(journal_lock(journal))
        self._account = FileLock(self._folder / f"account-{account}.lock")
        self._folder_fd: int | None = None

    def take(self) -> None:
        """Take both. Raises JournalError, with nothing taken, if another process has one or a file cannot be made."""
        try:
            self._take(self._journal, f"{self._journal_path} is in use", "stop it first")
            self._hold_folder()
            self._take(self._account, "the account is traded", "stop it first")
        except BaseException:
            self.release()
            raise

    def release(self) -> None:
        """Release both."""
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
        """Make the folder; refuse one that another user put there, who could take our locks away."""
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            if not hasattr(os, "O_DIRECTORY"):
                return
            self._folder_fd = os.open(self._folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
            if os.fstat(self._folder_fd).st_uid != os.getuid():
                raise JournalError(f"{self._folder} belongs to another user; have it removed")
            with suppress(BlockingIOError):  # somebody is just cleaning it
                share(self._folder_fd)
        except OSError as error:
            raise JournalError(f"{self._folder} cannot be used for locks: {error.strerror}") from error
