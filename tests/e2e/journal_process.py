"""A process that records steps as fast as it can and says each one that returned, until it is killed."""

from __future__ import annotations

import os
import sys
import threading
from pathlib import Path

from tests.infra.journal.journal_rig import changes, ended, fact, fill, inventory, memo, open_in, order


def say(text: str) -> None:
    """One line at once, in one write: a kill cannot cut it."""
    os.write(1, f"{text}\n".encode())


def main(folder: Path) -> None:
    with open_in(folder) as journal:
        started = max(journal.load().exec_ids, default=0)
        say(f"started {started}")

        def checkpoints() -> None:
            while True:
                journal.checkpoint()

        threading.Thread(target=checkpoints, daemon=True).start()
        number = int(started)
        while True:
            number += 1
            journal.record(
                changes(
                    orders=(ended(f"k{number - 1}"), order(f"k{number}")),
                    fills=(fill(number),),
                    facts=(fact("fill", name=f"k{number}"), fact("send")),
                    memo=memo(inventory=inventory(realised=number)),
                )
            )
            say(str(number))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
