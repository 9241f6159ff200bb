"""A recorded paper run in virtual time, and what it has left behind."""

from __future__ import annotations

from pathlib import Path

from tests.e2e.commands import run


class RecordedRun:
    """Runs once, when it is made, in a folder of its own."""

    def __init__(self, folder: Path, *words: str | Path) -> None:
        """``words`` are the flags of run_paper beside those of the recording."""
        self.logs, self.raw = folder / "logs", folder / "raw"
        recording = ("--set", "record.enabled=true", "--set", f"record.dir={self.raw}", "--log-dir", self.logs)
        ended = run("run_paper", "--sim", "--speed", "max", *words, *recording)
        assert ended.returncode == 0, ended.stderr
        self.said = ended.stdout

    @property
    def event_log(self) -> Path:
        (path,) = self.raw.glob("*.events.jsonl.zst")
        return path

    @property
    def tapes(self) -> list[Path]:
        return sorted(path for path in self.raw.glob("*.zst") if path != self.event_log)
