from pathlib import Path

import pytest

from src.agent_work_orders.agent import line_tail
from src.agent_work_orders.agent.line_tail import LineTail


def test_lines_come_whole_and_in_order_while_the_file_grows(tmp_path: Path) -> None:
    path = tmp_path / "out"
    with path.open("wb", buffering=0) as out, LineTail(path) as tail:
        assert tail.next_line() is None
        out.write(b"one\ntw")
        assert tail.next_line() == b"one"
        assert tail.next_line() is None
        assert tail.unfinished() == b"tw"
        out.write(b"o\n\nthree\n")
        assert [tail.next_line() for _ in range(4)] == [b"two", b"", b"three", None]
        assert tail.unfinished() == b""


def test_a_line_of_many_chunks_comes_whole(tmp_path: Path) -> None:
    path = tmp_path / "out"
    long = b"x" * 3_000_000
    path.write_bytes(long + b"\nnext\n")
    with LineTail(path) as tail:
        assert tail.next_line() == long
        assert tail.next_line() == b"next"


def test_a_line_beyond_all_reason_is_cut_and_the_next_one_is_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(line_tail, "_LONGEST_LINE", 1_000_000)
    path = tmp_path / "out"
    path.write_bytes(b"y" * 5_000_000 + b"\nnext\n")
    with LineTail(path) as tail:
        cut = tail.next_line()
        assert cut is not None
        assert len(cut) < 1_500_000
        assert tail.next_line() == b"next"
