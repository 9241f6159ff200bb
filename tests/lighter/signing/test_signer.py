from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Callable
from typing import Any

import pytest

from stall_then_strike.lighter.signing.intents import CancelOrder
from stall_then_strike.lighter.signing.signer import Secret, Signer

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


async def test_signatures_are_made_in_a_thread_of_their_own() -> None:
    """In the first thread of a process the library takes several times as long."""
    pytest.importorskip("lighter")
    signer = Signer("http://127.0.0.1:9", 5, {4: Secret("0x" + "01" * 39 + "00")})
    threads: list[threading.Thread] = []

    def noting(native: Callable[..., Any]) -> Callable[..., Any]:
        def noted(*given: Any, **named: Any) -> Any:
            threads.append(threading.current_thread())
            return native(*given, **named)

        return noted

    client = signer.client
    client.sign_cancel_order = noting(client.sign_cancel_order)
    client.create_auth_token_with_expiry = noting(client.create_auth_token_with_expiry)
    assert signer.sign(CancelOrder(market_index=0, index=7), 4, 1).nonce == 1
    assert signer.token(4, 60, 1_700_000_000)
    assert len(set(threads)) == 1
    assert threading.main_thread() not in threads
    await signer.aclose()
    threads[0].join(5)
    assert not threads[0].is_alive()
