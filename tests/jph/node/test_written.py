"""Bytes that a process writes, from what the kernel tells."""

from pathlib import Path

import pytest

from jph.node.written import LEAST_S, Written


def test_bytes_per_day_are_those_that_reached_the_disk(tmp_path: Path):
    file = tmp_path / "io"
    file.write_text("rchar: 5\nwrite_bytes: 1000\ncancelled_write_bytes: 0\n")
    written = Written(file)
    assert written.per_day() is None, "it has not watched for long enough"
    written._since_s -= LEAST_S * 10
    file.write_text("rchar: 5\nwrite_bytes: 61000\ncancelled_write_bytes: 1000\n")
    assert written.per_day() == pytest.approx(59_000 / 600 * 86_400, rel=0.01)
    file.unlink()
    assert written.per_day() is None
    assert Written(tmp_path / "none").per_day() is None
