"""One tape per hour: contents, names and manifests are right."""

from __future__ import annotations

from pathlib import Path

from stall_then_strike.config.models import ExchangeConfig
from stall_then_strike.tapes.part_file import PartFile
from stall_then_strike.tapes.salvage import RecordFolder
from stall_then_strike.tapes.stream_thread import Lost
from stall_then_strike.tapes.tape_reader import read_tape
from stall_then_strike.tapes.tape_tools import audit_tape, faults_of, sha256_of
from stall_then_strike.tapes.tape_writer import HourlyTape, TapeWriter
from tests.research.replay.replay_rig import HOUR_NS, START_NS, frames, manifest, names, texts

EXCHANGE = ExchangeConfig()


def writer(folder: Path) -> TapeWriter:
    return TapeWriter(folder, EXCHANGE, bound=20_000, now_ns=None)


def sink(folder: Path) -> HourlyTape:
    return HourlyTape(folder, "FX_BTC_JPY", EXCHANGE, "ws://nowhere", lambda path: None)


def test_frames_come_out_as_they_went_in(tmp_path: Path) -> None:
    sent = frames(30)
    tape = writer(tmp_path)
    for frame in sent:
        tape.on_frame(frame.text.encode(), frame.time_ns)
    tape.close("done")
    (path,) = tmp_path.glob("*.zst")
    assert path.name == "FX_BTC_JPY-20260105T00Z.jsonl.zst"
    assert [(line.recv_ns, line.text) for line in read_tape(path)] == [(f.time_ns, f.text) for f in sent]
    assert tape.messages == len(sent)


def test_manifest_is_what_a_reader_finds(tmp_path: Path) -> None:
    tape = writer(tmp_path)
    tape.on_connected(START_NS)
    for frame in frames(60):
        tape.on_frame(frame.text.encode(), frame.time_ns)
    tape.on_dropped(START_NS + 1, "pulled")
    tape.close("done")
    (path,) = tmp_path.glob("*.zst")
    told, found = manifest(path), audit_tape(path)
    assert {key: told[key] for key in found.audit.as_json()} | {"channels": 0} == found.audit.as_json() | {
        "channels": 0
    }
    assert told["channels"].keys() == found.audit.channels.keys()
    assert told["sha256"] == sha256_of(path)
    assert told["bytes"] == path.stat().st_size
    assert (told["ended"], told["connects"], told["drops"], told["lost"]) == ("done", 1, 1, 0)
    assert told["drop_stamps"][0]["why"] == "pulled"
    book = told["books"]["FX_BTC_JPY"]
    assert book["mid_checked"] > 400
    assert (book["mid_failed"], book["snapshots"]) == (0, 12)
    assert faults_of(found) == []


def test_every_hour_has_its_tape(tmp_path: Path) -> None:
    sent = frames(20, START_NS + HOUR_NS - 10 * 10**9)
    tape = writer(tmp_path)
    for frame in sent:
        tape.on_frame(frame.text.encode(), frame.time_ns)
    tape.close("done")
    first, second = sorted(tmp_path.glob("*.zst"))
    assert (first.name, second.name) == ("FX_BTC_JPY-20260105T00Z.jsonl.zst", "FX_BTC_JPY-20260105T01Z.jsonl.zst")
    assert texts(first) + texts(second) == [frame.text for frame in sent]
    assert next(iter(read_tape(second))).recv_ns >= START_NS + HOUR_NS
    assert (manifest(first)["ended"], manifest(second)["ended"]) == ("hour over", "done")


def test_hour_without_another_message_is_finished_by_the_clock(tmp_path: Path) -> None:
    tape = sink(tmp_path)
    tape.take(START_NS, b"{}")
    tape.flush(START_NS + HOUR_NS)
    assert names(tmp_path) == ["FX_BTC_JPY-20260105T00Z.jsonl.zst.part"]
    tape.flush(START_NS + HOUR_NS + 2 * 10**9)
    assert names(tmp_path) == ["FX_BTC_JPY-20260105T00Z.jsonl.zst", "FX_BTC_JPY-20260105T00Z.manifest.json"]


def test_second_run_of_an_hour_has_a_name_of_its_own_that_sorts_after(tmp_path: Path) -> None:
    for number in range(3):
        tape = writer(tmp_path)
        tape.on_frame(b'{"run":%d}' % number, START_NS + number)
        tape.close("done")
    paths = sorted(tmp_path.glob("*.zst"))
    assert [texts(path) for path in paths] == [['{"run":0}'], ['{"run":1}'], ['{"run":2}']]


def test_what_is_no_json_is_kept_as_text_and_line_breaks_become_blanks(tmp_path: Path) -> None:
    tape = writer(tmp_path)
    tape.on_frame(b'{"a":\r\n1}', START_NS)
    tape.on_frame(b'{"a": \xff "', START_NS)
    tape.on_frame(b"{} {}\n", START_NS)
    tape.close("done")
    (path,) = tmp_path.glob("*.zst")
    assert texts(path) == ['{"a":  1}', '"{\\"a\\": \ufffd \\""', '"{} {}\\n"']
    assert manifest(path)["unreadable"] == 2


def test_private_frames_are_not_on_the_tape(tmp_path: Path) -> None:
    tape = writer(tmp_path)
    tape.on_frame(b'{"method":"channelMessage","params":{"channel":"child_order_events","message":[]}}', START_NS)
    tape.on_frame(b"{}", START_NS)
    tape.close("done")
    (path,) = tmp_path.glob("*.zst")
    assert texts(path) == ["{}"]


def test_losses_are_in_the_manifest_and_make_the_tape_bad(tmp_path: Path) -> None:
    tape = sink(tmp_path)
    tape.take(START_NS, frames(6)[0].text.encode())
    tape.on_lost(Lost(3, START_NS, START_NS + 5))
    tape.close("done")
    (path,) = tmp_path.glob("*.zst")
    assert manifest(path)["lost_stamps_ns"] == [[START_NS, START_NS + 5, 3]]
    assert any("3 frames were lost" in fault for fault in faults_of(audit_tape(path)))


def test_reconnect_is_counted_and_the_book_begins_anew(tmp_path: Path) -> None:
    sent = frames(40)
    tape = sink(tmp_path)
    ack = b'{"jsonrpc":"2.0","id":%d,"result":true}'
    for number, frame in enumerate(sent):
        if number in (0, 200):
            for request in (1, 2, 3, 4):
                tape.take(frame.time_ns, ack % request)
        if not 150 < number < 200:  # what is sent while there is no connection
            tape.take(frame.time_ns, frame.text.encode())
    tape.close("done")
    (path,) = tmp_path.glob("*.zst")
    told = manifest(path)
    assert (told["reconnects"], told["acknowledgements"]) == (1, 8)
    assert told["books"]["FX_BTC_JPY"]["deltas_before_snapshot"] > 0
    assert told["books"]["FX_BTC_JPY"]["mid_failed"] == 0


# --- what a crash leaves ---------------------------------------------------------------------------------------------


def crashed(folder: Path, count: int, cut: int = 0) -> list[str]:
    """A part with the given number of messages, whose last flush lost some bytes."""
    tape = sink(folder)
    sent = frames(30)[:count]
    for frame in sent[:-1]:
        tape.take(frame.time_ns, frame.text.encode())
    tape.flush(None)
    tape.take(sent[-1].time_ns, sent[-1].text.encode())
    tape.flush(None)
    assert tape._file is not None
    tape._file._raw.close()
    (part,) = folder.glob("*.part")
    if cut:
        with part.open("r+b") as file:
            file.truncate(part.stat().st_size - cut)
    return [frame.text for frame in sent]


def test_part_of_a_crashed_run_is_finished_at_the_next_start(tmp_path: Path) -> None:
    sent = crashed(tmp_path, 100, cut=3)
    with RecordFolder(tmp_path, EXCHANGE):
        (path,) = tmp_path.glob("*.zst")
        assert texts(path) == sent[:-1]
        assert manifest(path)["ended"] == "crash"
        assert manifest(path)["sha256"] == sha256_of(path)
        assert audit_tape(path).statistics.is_unfinished is False
        assert not list(tmp_path.glob("*.part"))
        tape = sink(tmp_path)
        tape.take(START_NS + 60 * 10**9, b"{}")
        tape.close("done")
    assert names(tmp_path)[0] == path.name
    assert (tmp_path / "FX_BTC_JPY-20260105T00Z_2.jsonl.zst").exists()


def test_crash_while_a_part_is_being_finished_costs_nothing(tmp_path: Path) -> None:
    sent = crashed(tmp_path, 50)
    (part,) = tmp_path.glob("*.part")
    half_way = PartFile(part.with_name(part.name.removesuffix(".part")), part=".salvage")
    half_way.write(b"x")
    half_way.abandon()
    with RecordFolder(tmp_path, EXCHANGE):
        (path,) = tmp_path.glob("*.zst")
        assert texts(path) == sent
    assert len(names(tmp_path)) == 2


def test_part_without_a_message_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "FX_BTC_JPY-20260105T00Z.jsonl.zst.part").touch()
    with RecordFolder(tmp_path, EXCHANGE):
        assert names(tmp_path) == []


def test_damaged_part_is_kept_beside_what_could_be_read(tmp_path: Path) -> None:
    sent = crashed(tmp_path, 100)
    (part,) = tmp_path.glob("*.part")
    data = bytearray(part.read_bytes())
    data[-40:-30] = b"\xff" * 10
    part.write_bytes(data)
    with RecordFolder(tmp_path, EXCHANGE):
        pass
    assert part.with_name(part.name.removesuffix(".part") + ".damaged").read_bytes() == bytes(data)
    for path in tmp_path.glob("*.zst"):
        assert texts(path) == sent[: len(texts(path))]
        assert "damage" in manifest(path)


def test_parts_of_other_products_are_left_alone(tmp_path: Path) -> None:
    other = tmp_path / "BTC_JPY-20260105T00Z.jsonl.zst.part"
    other.write_bytes(b"somebody is writing this")
    with RecordFolder(tmp_path, EXCHANGE):
        assert other.read_bytes() == b"somebody is writing this"
