"""All that lets an operator, Prometheus and systemd see and command one run. It fails without the run."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Coroutine, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol

from loguru import logger

from stall_then_strike.app.control.command_desk import CommandDesk
from stall_then_strike.app.control.metrics_server import HOST, MetricsServer
from stall_then_strike.app.control.metrics_text import Histograms, metrics_text
from stall_then_strike.app.control.panel_keys import Keys
from stall_then_strike.app.control.reloading import Commanded, Reloading, Settings
from stall_then_strike.app.control.socket_server import SocketServer
from stall_then_strike.app.control.verbs import Act, Verb
from stall_then_strike.app.shell.ending import Ending
from stall_then_strike.app.view.screen import Screen
from stall_then_strike.app.view.snapshot import Snapshot
from stall_then_strike.app.view.summary import minute_line
from stall_then_strike.config.models import ControlConfig
from stall_then_strike.infra.watch.service_manager import ServiceManager

_STATUS_S: Final = 10.0
"""How often systemd is told the status if it does not watch."""


class SnapshotMaker(Protocol):
    """What makes the snapshots of a run."""

    def snapshot(self) -> Snapshot:
        """The run at this moment, or a moment ago."""
        ...

    def expire(self) -> None:
        """Make the next one anew."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class RunParts:
    """What the station needs of a run."""

    cfg: ControlConfig
    socket: Path
    """Where the control socket is made."""
    trader: Commanded
    ending: Ending
    observer: SnapshotMaker
    histograms: Histograms
    screen: Screen
    settings: Settings | None


class Station:
    """One run's. ``run`` is a task of the run; it neither ends nor fails before it is cancelled."""

    def __init__(self, run: RunParts) -> None:
        """Nothing is opened yet."""
        self._run = run
        reloading = None if run.settings is None else Reloading(run.settings, run.trader)
        self.desk = CommandDesk(run.trader, run.ending, reloading, run.observer.expire)
        self._service = ServiceManager()
        self.metrics_port = 0
        """The port of the figures, once they are served."""

    def ready(self) -> None:
        """Trading begins."""
        self._service.ready()

    def stopping(self) -> None:
        """The end has begun."""
        self._service.stopping()

    async def run(self) -> None:
        """Open what is wanted and serve until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            for what, part in self._parts():
                tasks.create_task(_guarded(what, part))
            await asyncio.Event().wait()

    def _parts(self) -> Iterator[tuple[str, Coroutine[Any, Any, None]]]:
        run = self._run
        yield "reading settings at SIGHUP", self._reread()
        if self._service:
            yield "telling systemd", self._tell_service()
        if run.cfg.enabled:
            path = run.socket
            try:
                yield f"the socket {path}", SocketServer(path, self.desk, run.observer.snapshot).serve()
            except OSError as error:
                logger.warning("no control of this run: {}: {}", path, error.strerror)
        if run.cfg.metrics_port:
            try:
                server = MetricsServer(
                    run.cfg.metrics_port, lambda: metrics_text(run.observer.snapshot(), run.histograms)
                )
                self.metrics_port = server.port
                yield "serving figures", server.serve()
            except OSError as error:
                logger.warning("no figures at {}:{}: {}", HOST, run.cfg.metrics_port, error.strerror)
        if run.screen.is_panel and sys.stdin.isatty():
            keys = Keys(self.desk, sys.stdin.fileno())
            run.screen.footer = keys.footer
            yield "reading keys", keys.run()

    async def _reread(self) -> None:
        wanted = self._run.ending.reread
        while True:
            await wanted.wait()
            wanted.clear()
            await self.desk.act(Act(Verb.RELOAD, "SIGHUP"))

    async def _tell_service(self) -> None:
        period_s = self._service.period_s or _STATUS_S
        while True:
            self._service.alive(minute_line(self._run.observer.snapshot()))
            await asyncio.sleep(period_s)


async def _guarded(what: str, part: Coroutine[Any, Any, None]) -> None:
    """Run one part; what goes wrong in it ends only this part."""
    try:
        await part
    except Exception as error:  # noqa: BLE001 - whatever it is, trading goes on
        logger.opt(exception=error).error("{} failed and is off; the run goes on", what)
