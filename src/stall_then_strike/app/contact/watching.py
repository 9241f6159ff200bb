"""The checks of one connection joined: its frames, its answers, its clock. Probe and rehearsal watch with the same."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from stall_then_strike.app.contact.assumed.answer_check import AnswerCheck
from stall_then_strike.app.contact.assumed.deviations import Deviations
from stall_then_strike.app.contact.assumed.heard import ChannelFigures
from stall_then_strike.app.contact.assumed.masking import Masking
from stall_then_strike.app.contact.assumed.stream_check import StreamCheck
from stall_then_strike.config.models import AppConfig
from stall_then_strike.infra.bitflyer.credentials import Credentials
from stall_then_strike.infra.clock import Clock
from stall_then_strike.infra.line.frame_tap import Taps
from stall_then_strike.infra.market_source import Refusal
from stall_then_strike.types.dto import LimitReading
from stall_then_strike.venues.bitflyer_connection import BitflyerConnection
from stall_then_strike.venues.findings import Verdict, clock_finding


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """What was seen, for a report. Seconds."""

    listened_s: float
    connections: int
    frames: int
    mids: tuple[int, int]
    channels: Sequence[ChannelFigures]
    calls: int
    answer_s: Sequence[float]
    """How long each answer took, sorted."""
    clock: str
    limits: Sequence[LimitReading]
    events: int
    """Events of the private channel."""


class Watch:
    """Notes every deviation on a connection, from :meth:`attach` on."""

    def __init__(self, cfg: AppConfig, account: Credentials | None, clock: Clock) -> None:
        """Without an account the private channel is not expected."""
        self.cfg, self._clock = cfg, clock
        self.deviations = Deviations(Masking() if account is None else Masking(account.redact), clock)
        self.streams = [
            StreamCheck(each, self.deviations, is_private=account is not None, account=cfg)
            for each in cfg.by_instrument()
        ]
        self.stream = self.streams[0]
        self.answers = AnswerCheck(cfg.exchange, self.deviations)
        self._start_ns = clock.now_ns()
        self._connection: BitflyerConnection | None = None

    def attach(self, connection: BitflyerConnection) -> None:
        """Listen to a connection, which is open and not connected."""
        self._connection = connection
        earlier = connection.session.tap  # a recording
        connection.session.tap = Taps([*([] if earlier is None else [earlier]), *self.streams])
        for http in connection.https:
            http.on_answer = self.answers.take

    def finish(self, *, is_closed: bool = False) -> Figures:
        """Judge what is judged over time; returns the figures. Call it once.

        ``is_closed``: the connection is closed by now, so the last frame's time is the end.
        """
        if self._connection is None:
            raise RuntimeError("nothing was attached")
        http, now_ns = self._connection.https[0], self.stream.last_ns if is_closed else self._clock.now_ns()
        finding = clock_finding(http.skew, self.cfg.risk.max_clock_skew_sec)
        if finding.verdict is not Verdict.OK and self.answers.calls:
            expected = "our clock and the venue's Date agree within half of risk.max_clock_skew_sec"
            self.deviations.add("the clock", expected=expected, seen=finding.text, is_grave=finding.exit_code != 0)
        for stream in self.streams:
            stream.finish(now_ns, http.skew.skew_ns() or 0)
        if binary := self._connection.session.feed.statistics().refused.get(Refusal.BINARY):
            self.deviations.add("binary frames", expected="text frames alone", seen=f"{binary}")
        return Figures(
            listened_s=(now_ns - self._start_ns) / 1e9,
            connections=self.stream.connects,
            frames=self.stream.frames,
            mids=(sum(one.mids[0] for one in self.streams), sum(one.mids[1] for one in self.streams)),
            channels=list({one.name: one for stream in self.streams for one in stream.figures()}.values()),
            calls=self.answers.calls,
            answer_s=sorted(took_ns / 1e9 for took_ns in self.answers.times_ns),
            clock=finding.text,
            limits=list(http.limits.values()),
            events=sum(stream.events.count for stream in self.streams),
        )
