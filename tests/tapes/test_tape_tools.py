"""Tapes checked, cut and merged."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stall_then_strike.tapes.tape_reader import TapeError, TapeLine, read_tape
from stall_then_strike.tapes.tape_tools import TapeOutput, audit_tape, cut, faults_of, generate, merge, write_tape
from stall_then_strike.types.dto import NS_PER_S
from tests.e2e.commands import REPO
from tests.research.replay.replay_rig import START_NS, frames
from tests.shared_data import real_tape_path


@functools.cache
def generated(seconds: float, seed: int) -> tuple[TapeLine, ...]:
    return tuple(TapeLine(frame.time_ns, frame.text) for frame in frames(seconds, seed=seed))


def lines(seconds: float = 30, seed: int = 7) -> list[TapeLine]:
    return list(generated(seconds, seed))


def tape(path: Path, content: Iterable[TapeLine]) -> Path:
    write_tape(path, content)
    return path


def test_good_tapes_are_good(tmp_path: Path) -> None:
    assert faults_of(audit_tape(tape(tmp_path / "a.jsonl.zst", lines()))) == []
    assert faults_of(audit_tape(real_tape_path())) == []


def test_real_tape_has_the_mid_check_of_its_description() -> None:
    book = audit_tape(real_tape_path()).audit.books()["FX_BTC_JPY"]
    assert (book.agreed, book.checked, book.failed) == (218, 219, 1)


def without(kind: str) -> list[TapeLine]:
    return [line for line in lines() if f'"lightning_{kind}_FX_BTC_JPY"' not in line.text]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        pytest.param(list, "no message", id="empty"),
        pytest.param(
            lambda: lines()[:50] + lines()[60:90] + lines()[50:], "stamps are earlier than the previous one", id="order"
        ),
        pytest.param(lambda: lines()[:100] + lines()[150:], "gaps of more than", id="gap"),
        pytest.param(lambda: without("board_snapshot"), "no board snapshot", id="no snapshot"),
        pytest.param(lambda: [lines()[0]], "no board snapshot", id="one line"),
        pytest.param(lambda: [line for n, line in enumerate(lines(60)) if n % 7], "mid price agrees", id="holes"),
        pytest.param(
            lambda: [TapeLine(START_NS, '{"jsonrpc":"2.0","id":1,"result":true}')], "no public channel", id="acks"
        ),
        pytest.param(
            lambda: [*lines(), TapeLine(START_NS + 40 * NS_PER_S, '"{"')], "1 frames are not JSON", id="no JSON"
        ),
        pytest.param(lambda: [*lines(), TapeLine(START_NS + 40 * NS_PER_S, "{}")], "", id="stray"),
    ],
)
def test_what_is_wrong_is_said(content: Callable[[], list[TapeLine]], words: str, tmp_path: Path) -> None:
    faults = faults_of(audit_tape(tape(tmp_path / "t.jsonl", content())))
    assert any(words in fault for fault in faults) or (not words and not faults)


def test_cut_end_and_damage_are_bad(tmp_path: Path) -> None:
    path = tape(tmp_path / "t.jsonl.zst", lines())
    data = path.read_bytes()
    path.write_bytes(data[:-100])
    assert any("the end is cut" in fault for fault in faults_of(audit_tape(path)))
    path.write_bytes(data[:200] + b"\xff" * 200 + data[400:])
    assert any("damaged" in fault for fault in faults_of(audit_tape(path)))


def test_file_that_is_not_its_manifests_is_bad(tmp_path: Path) -> None:
    path = tape(tmp_path / "t.jsonl.zst", lines())
    (tmp_path / "t.manifest.json").write_text('{"sha256":"0","lost":0}')
    assert any("SHA-256 differs" in fault for fault in faults_of(audit_tape(path)))


def test_limit_of_gaps_can_be_chosen(tmp_path: Path) -> None:
    path = tape(tmp_path / "t.jsonl", lines())
    assert faults_of(audit_tape(path, gap_s=1000)) == []
    assert any("gaps of more than 1 s" in fault for fault in faults_of(audit_tape(path, gap_s=1)))


# --- cut and merge ----------------------------------------------------------------------------------------------------


def test_cut_takes_the_first_moment_and_leaves_the_last(tmp_path: Path) -> None:
    path = tape(tmp_path / "t.jsonl", (TapeLine(n, f"{n}") for n in range(10)))
    assert [line.recv_ns for line in cut(path, 3, 7)] == [3, 4, 5, 6]
    assert [line.recv_ns for line in cut(path, None, 2)] == [0, 1]
    assert len(list(cut(path, None, None))) == 10


def test_parts_of_a_tape_merge_into_it_again(tmp_path: Path) -> None:
    whole = lines()
    paths = [tape(tmp_path / f"{k}.jsonl.zst", whole[k::3]) for k in range(3)]
    assert sorted(merge(paths)) == sorted(whole)
    assert [line.recv_ns for line in merge(paths)] == [line.recv_ns for line in whole]


def test_equal_stamps_keep_the_order_of_the_tapes(tmp_path: Path) -> None:
    paths = [tape(tmp_path / f"{k}.jsonl", [TapeLine(5, f'"{k}{n}"') for n in range(3)]) for k in "ab"]
    assert [line.text for line in merge(paths)] == ['"a0"', '"a1"', '"a2"', '"b0"', '"b1"', '"b2"']


@given(
    kept=st.lists(st.tuples(st.booleans(), st.booleans(), st.integers(0, 2), st.integers(-3, 3)), max_size=40),
)
def test_two_recorders_of_one_feed_make_one_tape(kept: list[tuple[bool, bool, int, int]]) -> None:
    """Each message was recorded by one, both or none of them, a little later by the other; texts repeat."""
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        first: list[TapeLine] = []
        second: list[TapeLine] = []
        heard: list[str] = []
        for number, (by_first, by_second, text, late_s) in enumerate(kept):
            stamp_ns = (number + 1) * 100 * NS_PER_S
            if by_first:
                first.append(TapeLine(stamp_ns, f"{text}"))
            if by_second:
                second.append(TapeLine(stamp_ns + late_s * NS_PER_S, f"{text}"))
            if by_first or by_second:
                heard.append(f"{text}")
        paths = [tape(Path(folder) / "a.jsonl", first), tape(Path(folder) / "b.jsonl", second)]
        assert [line.text for line in merge(paths, twice_s=5)] == heard
        assert len(list(merge(paths))) == len(first) + len(second)


def test_message_that_stands_twice_on_one_tape_is_no_copy(tmp_path: Path) -> None:
    twice = tape(tmp_path / "a.jsonl", [TapeLine(1, "1"), TapeLine(2, "1"), TapeLine(3, "2")])
    once = tape(tmp_path / "b.jsonl", [TapeLine(1, "1"), TapeLine(4, "2")])
    assert [line.text for line in merge([twice, once], twice_s=5)] == ["1", "1", "2"]
    assert [line.text for line in merge([once, twice], twice_s=5)] == ["1", "1", "2"]


def test_tape_whose_stamps_go_back_cannot_be_merged(tmp_path: Path) -> None:
    path = tape(tmp_path / "a.jsonl", [TapeLine(2, "1"), TapeLine(1, "1")])
    with pytest.raises(TapeError, match=r"a\.jsonl: cannot be merged: stamp \d+ is earlier than the previous one"):
        list(merge([path, path]))


# --- output -----------------------------------------------------------------------------------------------------------


def write_and_fail(path: Path) -> None:
    with TapeOutput(path) as output:
        output.write(1, "{}")
        raise ZeroDivisionError


@pytest.mark.parametrize("name", ["t.jsonl", "t.jsonl.zst"])
def test_output_is_there_whole_or_not_at_all(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    with pytest.raises(ZeroDivisionError):
        write_and_fail(path)
    assert list(tmp_path.iterdir()) == []
    write_tape(path, lines())
    assert list(read_tape(path)) == lines()
    assert list(tmp_path.iterdir()) == [path]
    with pytest.raises(FileExistsError):
        write_tape(path, lines())


def test_made_up_tape_is_the_same_each_time(tmp_path: Path) -> None:
    first, second = (tape(tmp_path / f"{n}.jsonl.zst", generate(7, START_NS, 20)) for n in range(2))
    assert first.read_bytes() == second.read_bytes()
    assert list(read_tape(first)) == lines(20)


def test_sample_in_the_repository_is_what_its_command_makes() -> None:
    """Compared by message: another zstd may compress differently. If the market model changed, generate it again."""
    (path,) = (REPO / "data" / "sample").glob("*.jsonl.zst")
    assert path.stat().st_size < 300_000
    assert list(read_tape(path)) == list(generate(7, START_NS, 180))
    assert faults_of(audit_tape(path)) == []
