from __future__ import annotations

import subprocess
import sys

import pytest

DEEP = """
import json, sys
from stall_then_strike.lighter.signing.signer import load_sdk
before = sys.getrecursionlimit()
load_sdk()
assert sys.getrecursionlimit() == before
try:
    json.loads("[" * 100_000)
except RecursionError:
    print("refused")
"""


def test_with_the_sdk_a_deeply_nested_message_is_still_refused() -> None:
    """py_ecc, which the SDK imports, raises the recursion limit so far that such a message overflows the stack."""
    pytest.importorskip("lighter")
    done = subprocess.run([sys.executable, "-c", DEEP], capture_output=True, text=True, timeout=60, check=False)
    assert done.stdout == "refused\n", done.stderr
