"""Keys at the panel, on a real terminal."""

from __future__ import annotations

import asyncio
import os
import pty
import termios
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from stall_then_strike.app.control import panel_keys
from stall_then_strike.app.control.command_desk import CommandDesk
from stall_then_strike.app.control.panel_keys import Keys
from stall_then_strike.app.shell.ending import Ending
from stall_then_strike.types.dto import Command, Reason
from tests.app.control.control_rig import OnStage
from tests.waiting import until


@asynccontextmanager
async def at_terminal(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[tuple[OnStage, Keys, int]]:
    ours, theirs = pty.openpty()
    monkeypatch.setattr(os, "tcgetpgrp", lambda fd: os.getpgrp())  # a test has no session of its own to lead
    monkeypatch.setattr(panel_keys, "_LOOK_S", 0.01)
    stage = OnStage()
    keys = Keys(CommandDesk(stage, Ending(), None), theirs)
    reading = asyncio.create_task(keys.run())
    try:
        yield stage, keys, ours
    finally:
        reading.cancel()
        await asyncio.gather(reading, return_exceptions=True)
        assert termios.tcgetattr(theirs)[3] & termios.ICANON, "left as it was"
        os.close(ours)
        os.close(theirs)


async def said(keys: Keys, words: str) -> None:
    await until(lambda: words in keys.footer())


async def test_a_second_key_confirms(monkeypatch: pytest.MonkeyPatch) -> None:
    async with at_terminal(monkeypatch) as (stage, keys, ours):
        await said(keys, "keys: p pause")
        os.write(ours, b"p")
        await said(keys, "pause (y: yes, any other key: no)")
        assert stage.commands == []
        os.write(ours, b"y")
        await said(keys, "paused; no quote is live; exits go on")
        assert stage.commands == [Command.PAUSE]
        assert stage.portfolio.first.shared.paused is Reason.PAUSED


async def test_any_other_key_does_not(monkeypatch: pytest.MonkeyPatch) -> None:
    async with at_terminal(monkeypatch) as (stage, keys, ours):
        for keypress in (b"n", b"f", b"\x1b[A"):
            os.write(ours, b"f")
            await said(keys, "flatten (y: yes")
            os.write(ours, keypress)
            await said(keys, "flatten: not done")
        assert stage.commands == []


async def test_pasted_text_means_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    async with at_terminal(monkeypatch) as (stage, keys, ours):
        os.write(ours, b"hyfysy")
        await asyncio.sleep(0.1)
        assert stage.commands == []
        assert keys.footer().startswith("keys:")


async def test_a_question_is_not_open_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(panel_keys, "_SHOWN_NS", 0)
    stage = OnStage()
    keys = Keys(CommandDesk(stage, Ending(), None), 0)
    await keys.press("h")
    await keys.press("y")
    assert stage.commands == []


async def test_the_background_reads_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    async with at_terminal(monkeypatch) as (stage, keys, ours):
        monkeypatch.setattr(os, "tcgetpgrp", lambda fd: os.getpgrp() + 1)
        await asyncio.sleep(0.05)
        os.write(ours, b"p")
        await asyncio.sleep(0.1)
        assert keys.footer().startswith("keys:")
        assert stage.commands == []
