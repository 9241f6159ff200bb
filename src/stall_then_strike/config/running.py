"""Settings of the process: journal, recordings, watching, logs."""

from __future__ import annotations

from decimal import Decimal
from typing import Self

from pydantic import Field, model_validator

from stall_then_strike.config.fields import Number, Section


class JournalConfig(Section):
    """What outlives the process: one SQLite file for each account."""

    dir: str = Field(default="data/journal", min_length=1, description="folder of the journals")
    keep_days: int = Field(
        default=30, ge=2, le=3_650, description="age at which ended orders, fills and facts are deleted, days"
    )
    locked_sec: Number = Field(
        default=Decimal(120),
        ge=5,
        le=3_600,
        description="time for which another program may lock the journal before trading halts, seconds",
    )


class RecordConfig(Section):
    """Recording while trading."""

    enabled: bool = Field(default=False, description="whether run_live and run_paper record")
    dir: str = Field(default="data/raw", min_length=1, description="folder of the recordings")
    own_events: bool = Field(
        default=True, description="whether to record what the core is told, so that the run can be replayed"
    )
    queue_frames: int = Field(
        default=20_000,
        ge=1_000,
        le=1_000_000,
        description="frames that may wait for a slow disk; more are lost and counted",
    )


class WatchConfig(Section):
    """Watching the process, and alerts (live only)."""

    lag_warn_ms: int = Field(default=100, ge=10, le=10_000, description="event-loop lag at which to warn, ms")
    heartbeat_sec: Number = Field(
        default=Decimal(1), gt=0, le=10, description="pause between two heartbeats for the watchdog, seconds"
    )
    heartbeat_limit_sec: Number = Field(
        default=Decimal(15), ge=2, le=300, description="silence at which the watchdog cancels all orders, seconds"
    )
    alert_disconnect_sec: Number = Field(
        default=Decimal(30), ge=1, le=3_600, description="length of a disconnect at which to alert, seconds"
    )
    alert_pause_sec: Number = Field(
        default=Decimal(60), ge=0, le=86_400, description="least pause between two alerts of one kind, seconds"
    )
    account: str = Field(
        default="",
        max_length=100,
        description="entry of accounts.toml that the watchdog signs with at Lighter: another API key of the account",
    )
    day_report: bool = Field(
        default=True, description="whether the digest of a day has a report on it, if the extra research is there"
    )
    min_free_disk_mb: int = Field(default=500, ge=1, description="free disk space below which to warn, MB")

    @model_validator(mode="after")
    def _beats_within_the_limit(self) -> Self:
        if self.heartbeat_limit_sec < 3 * self.heartbeat_sec:
            raise ValueError(
                f"heartbeat_limit_sec: {self.heartbeat_limit_sec} leaves no room for a late heartbeat; "
                f"accepted: {3 * self.heartbeat_sec} (three heartbeats) or more"
            )
        return self


class ControlConfig(Section):
    """The operator's hand on a run: its Unix socket, and its figures for Prometheus."""

    enabled: bool = Field(
        default=True, description="whether a run opens control.sock in its folder, for the command ctl"
    )
    metrics_port: int = Field(
        default=0, ge=0, le=65_535, description="port on 127.0.0.1 for Prometheus; 0: no figures are served"
    )


class LogConfig(Section):
    """Runtime and structured logs."""

    rotation: str = Field(
        default="10 MB",
        pattern=r"^[1-9][0-9]{0,5} (KB|MB|GB)$",
        description="size at which app.log and ws.log begin anew",
    )
    retention: str = Field(
        default="7 days",
        pattern=r"^[1-9][0-9]{0,3} (hours?|days?|weeks?)$",
        description="age at which rotated logs are deleted",
    )
    flush_ms: int = Field(default=250, ge=10, le=900, description="time within which CSV rows reach the file, ms")
    queue_rows: int = Field(
        default=20_000, ge=100, description="rows that may wait for a slow disk; with more, quoting stops"
    )
