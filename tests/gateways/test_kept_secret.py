"""Secrets of a home directory, made once."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from gateways.kept_secret import SECRET, kept_secret


def test_all_who_ask_at_once_get_the_same_secret(tmp_path):
    for number in range(50):
        path = tmp_path / f"{number}" / "secret"
        with ThreadPoolExecutor(8) as threads:
            found = set(threads.map(lambda _, path=path: kept_secret(path), range(8)))
        assert len(found) == 1 and SECRET.fullmatch(found.pop())
        assert path.stat().st_mode & 0o777 == 0o600
        assert [each.name for each in path.parent.iterdir()] == ["secret"]


@pytest.mark.parametrize("damage", [b"", b"abc", b"\xff" * 64])
def test_a_file_without_a_secret_gets_one(tmp_path, damage):
    path = tmp_path / "secret"
    path.write_bytes(damage)
    assert SECRET.fullmatch(kept_secret(path)) and kept_secret(path) == kept_secret(path)
