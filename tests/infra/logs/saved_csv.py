"""CSV files as other programs save them."""

from __future__ import annotations

import codecs
import csv
import io
import re
from collections.abc import Callable
from functools import partial
from typing import Final

_NUMBER: Final = re.compile(r"-?\d+(\.\d+)?")


def saved(
    text: str,
    *,
    separator: str = ",",
    quoting: int = csv.QUOTE_MINIMAL,
    end: str = "\r\n",
    is_comma: bool = False,
    is_moved: bool = False,
    has_final_end: bool = True,
    encoding: str = "utf-8",
) -> bytes:
    """Our file as another program writes it; ``is_moved``: columns in another order, and an extra one."""
    out = io.StringIO()
    writer = csv.writer(out, delimiter=separator, quoting=quoting, lineterminator=end)
    for n, cells in enumerate(csv.reader(text.splitlines())):
        row = [cell.replace(".", ",") if is_comma and _NUMBER.fullmatch(cell) else cell for cell in cells]
        writer.writerow([*reversed(row), "note" if n == 0 else "seen"] if is_moved else row)
    whole = out.getvalue() if has_final_end else out.getvalue().removesuffix(end)
    return whole.encode(encoding)


DIALECTS: Final[dict[str, Callable[[str], bytes]]] = {
    "CSV UTF-8 of a spreadsheet": partial(saved, encoding="utf-8-sig"),
    "semicolons, decimal commas": partial(saved, separator=";", is_comma=True),
    "semicolons, no last line end": partial(saved, separator=";", is_comma=True, has_final_end=False),
    "all quoted": partial(saved, quoting=csv.QUOTE_ALL, end="\n"),
    "Unicode text with tabs": partial(saved, separator="\t", encoding="utf-16"),
    "columns moved and one added": partial(saved, is_moved=True, end="\n"),
    "semicolons with a byte order mark": lambda text: codecs.BOM_UTF8 + saved(text, separator=";"),
    "without its header": lambda text: text.partition("\n")[2].encode(),
}
