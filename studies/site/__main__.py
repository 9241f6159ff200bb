"""Write what pages take from the code: ``python -m studies.site --write``. Without the flag: say what differs."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from studies.site import flags, settings, strike, words
from studies.site.drawn import COMMAND, DOCS, ROOT, with_part

PARTS: Final[tuple[tuple[str, str, Callable[[], str]], ...]] = (
    ("configuration.md", "settings", settings.reference),
    ("configuration.md", "quiet", settings.quiet_window),
    ("reasons.md", "reasons", words.reasons),
    ("commands.md", "common", flags.common),
    ("commands.md", "commands", flags.commands),
)
"""Pages, the names of their parts, and what makes these."""


def wanted() -> dict[Path, str]:
    """The whole text of each file that has something from the code."""
    texts = {settings.BASE: settings.commented(settings.BASE.read_text("utf-8")), **strike.pictures()}
    for page, name, made in PARTS:
        path = DOCS / page
        texts[path] = with_part(texts.get(path) or path.read_text("utf-8"), name, made())
    return texts


def main(argv: Sequence[str]) -> int:
    """Write, or compare; 1 if something differs."""
    texts = wanted()
    stale = [path for path, text in texts.items() if not path.exists() or path.read_text("utf-8") != text]
    for path in stale:
        sys.stdout.write(f"{path.relative_to(ROOT)}\n")
        if "--write" in argv:
            path.parent.mkdir(exist_ok=True)
            path.write_text(texts[path], "utf-8")
    if stale and "--write" not in argv:
        sys.stdout.write(f"differ from the code: run `{COMMAND}`\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
