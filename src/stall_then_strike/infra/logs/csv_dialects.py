"""Reads our CSV files after another program has saved them, and converts them back to our form.

Spreadsheets and editors add a byte order mark, end lines with CR and LF, quote every cell, separate by semicolons or
tabs, write decimal commas and exponents, and move or add columns. What can be converted with certainty is converted;
other rows are left out.
"""

from __future__ import annotations

import codecs
import csv
import io
import re
from collections.abc import Iterator, Sequence
from datetime import datetime
from decimal import Decimal, InvalidOperation
from typing import Final

from stall_then_strike.types.text import iso_ns, plain, utc_iso

BOM: Final = codecs.BOM_UTF8
_SEPARATORS: Final = ",;\t|"
_TEXTS: Final = frozenset(
    {
        "order_id", "side", "strategy", "tag", "action", "client_order_id", "tif", "reason", "decision_type", "actions",
    }
)  # fmt: skip
"""Columns that are neither numbers nor stamps."""
_COMMA: Final = str.maketrans(",.", ".,")
_GROUPED: Final = re.compile(r"[-+]?[1-9]\d{0,2}(,\d{3})+(\.\d+)?")
# A row is one line: text from outside must not break it.
_BREAKS: Final = str.maketrans({"\n": " ", "\r": " ", "\0": " "})


def csv_line(cells: Sequence[str]) -> str:
    """One line with its end, quoted only where CSV requires it."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerow([cell.translate(_BREAKS) for cell in cells])
    return text.getvalue()


def has_header(raw: bytes, columns: Sequence[str]) -> bool:
    """Whether a file begins with our header; a byte order mark before it and a CR after it are allowed."""
    first = raw.removeprefix(BOM).split(b"\n", 1)[0]
    return first.removesuffix(b"\r") == ",".join(columns).encode()


def as_written(raw: bytes, columns: Sequence[str]) -> bytes | None:
    """The file in our form: header, separators and line ends, and cells if another program changed those.

    None if a column is missing. A file without a header is accepted if its rows are as we write them. An unfinished
    last line is kept if another program may have written it like that.
    """
    if has_header(raw, columns):
        return raw.removeprefix(BOM).replace(b"\r\n", b"\n")
    try:
        rows = _rows(_text(raw), columns)
        whole = None if rows is None else "".join((csv_line(columns), *map(csv_line, rows)))
    except csv.Error:
        return None
    return None if whole is None else whole.encode("utf-8", "backslashreplace")


def number(cell: str, *, is_comma: bool = False) -> str:
    """A number as we write it: with ``is_comma``, ``1,35E+07`` becomes ``13500000``. Raises ValueError."""
    bare = "".join(cell.split()).replace("\N{MINUS SIGN}", "-")
    if is_comma:
        bare = bare.translate(_COMMA)
    if _GROUPED.fullmatch(bare):
        bare = bare.replace(",", "")
    try:
        value = Decimal(bare or "0")
    except InvalidOperation:
        value = Decimal("NaN")
    if not value.is_finite():
        raise ValueError(f"{cell!r} is not a number")
    return plain(value) if bare else ""


def _text(raw: bytes) -> str:
    if raw.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):  # a spreadsheet's "Unicode text"
        return raw.decode("utf-16", "replace")
    return raw.removeprefix(BOM).decode("utf-8", "replace")


def _rows(text: str, columns: Sequence[str]) -> Iterator[list[str]] | None:
    first = text.split("\n", 1)[0]
    for separator in _SEPARATORS:
        head = [name.strip() for name in next(csv.reader([first], delimiter=separator), [])]
        if set(columns) <= set(head):
            at = [head.index(name) for name in columns]
            return _taken(text, columns, at, separator, skip=1)
    cells = next(csv.reader([first]), [])
    if len(cells) == len(columns) and _is_stamp(cells[0]):
        whole = text[: text.rfind("\n") + 1]  # a row cut off within its last number would look complete but be wrong
        return _taken(whole, columns, range(len(columns)), ",", skip=0)
    return None


def _taken(text: str, columns: Sequence[str], at: Sequence[int], separator: str, *, skip: int) -> Iterator[list[str]]:
    lines = csv.reader(io.StringIO(text, newline=""), delimiter=separator)
    for place, cells in enumerate(lines):
        if place < skip or len(cells) <= max(at):
            continue
        try:
            yield [
                _cell(name, cells[n], is_comma=separator != "," and "," in cells[n])
                for name, n in zip(columns, at, strict=True)
            ]
        except ValueError:
            continue


def _cell(name: str, cell: str, *, is_comma: bool) -> str:
    if name == "ts":
        return utc_iso(_stamp_ns(cell))
    return cell if name in _TEXTS else number(cell, is_comma=is_comma)


def _is_stamp(cell: str) -> bool:
    try:
        return _stamp_ns(cell) > 0
    except ValueError:
        return False


def _stamp_ns(cell: str) -> int:
    """Nanoseconds since the Unix epoch of an ISO 8601 stamp, UTC if it has no zone. Raises ValueError."""
    moment = datetime.fromisoformat(cell.strip().replace("/", "-"))
    return iso_ns(f"{moment.isoformat()}{'' if moment.tzinfo is not None else 'Z'}")
