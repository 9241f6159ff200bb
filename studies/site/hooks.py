"""What mkdocs does besides: pages of the repository's root are pages of the site, and links between the two hold.

mkdocs loads this file by its path, so it imports nothing of the project.
"""

from __future__ import annotations

import posixpath
import re
from pathlib import Path
from typing import Any, Final

from mkdocs.structure.files import File, Files

ROOT: Final = Path(__file__).resolve().parents[2]
PAGES: Final = ("DESIGN.md", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md", "README.ja.md")
"""Pages outside of docs/ that are on the site, under their own names."""
FILES: Final = ("examples/two_sided.py",)
"""Other files to which pages link."""
INSTEAD: Final = {"README.md": "index.md", "LICENSE": ""}
"""What a link leads to on the site; without a page the words stay."""
_LINK: Final = re.compile(r"(!?)\[([^\]]*)\]\((?!https?:|mailto:|#)([^)#\s]+)(#[^)\s]*)?\)")
_PICTURE: Final = re.compile(r'(<img src=")(?:docs/)')
_DIAGRAM: Final = re.compile(r"^```mermaid\n.*?^```\n", re.MULTILINE | re.DOTALL)


def on_files(files: Files, config: Any) -> Files:
    """Add what lies outside of docs/."""
    for name in (*PAGES, *FILES):
        if (ROOT / name).exists():
            files.append(File(name, str(ROOT), config["site_dir"], config["use_directory_urls"]))
    return files


def on_page_markdown(markdown: str, *, page: Any, **_: Any) -> str:
    """Lead each link where its target is on the site. Drawings that need a script from elsewhere are left out."""
    source: str = page.file.src_uri
    return _LINK.sub(lambda found: _led(found, source), _PICTURE.sub(r"\1", _DIAGRAM.sub("", markdown)))


def _led(found: re.Match[str], source: str) -> str:
    """One link, as the site has it."""
    image, words, target, anchor = found[1], found[2], found[3], found[4] or ""
    home = "" if source in PAGES else "docs"
    in_repository = posixpath.normpath(posixpath.join(home, posixpath.dirname(source), target))
    on_site = INSTEAD.get(in_repository, in_repository.removeprefix("docs/"))
    if not on_site:
        return words
    return f"{image}[{words}]({posixpath.relpath(on_site, posixpath.dirname(source) or '.')}{anchor})"
