import shutil
import subprocess
from unittest.mock import Mock

import pytest

from jph.errors import StoreError
from jph.kept_files import KeptFiles
from tests.helpers import logged
from tests.small_disk import mounted_disk


@pytest.fixture
def home(tmp_path):
    folder = tmp_path / "home"
    folder.mkdir()
    return folder


def test_a_file_that_was_there_is_made_anew_and_no_other(home):
    kept = KeptFiles(home)
    file, never, forgotten = (home / name for name in ("file", "never", "forgotten"))
    file.write_text("a")
    forgotten.write_text("a")
    kept.keep(file, lambda: file.write_text("b"))
    kept.keep(never, lambda: never.write_text("b"))
    kept.keep(forgotten, lambda: forgotten.write_text("b"))
    kept.look()
    kept.forget(forgotten)
    file.unlink()
    forgotten.unlink()
    kept.look()
    assert {path.name: path.read_text() for path in home.iterdir()} == {"file": "b"}


def test_a_file_that_came_later_is_kept_too(home):
    kept = KeptFiles(home)
    file = home / "file"
    kept.keep(file, lambda: file.write_text("b"))
    kept.look()
    file.write_text("a")
    kept.look()
    file.unlink()
    kept.look()
    assert file.read_text() == "b"


def test_a_deleted_home_is_made_anew_with_its_files_and_that_is_said_once(home, caplog):
    kept = KeptFiles(home)
    file = home / "file"
    file.write_text("a")
    kept.keep(file, lambda: file.write_text("b"))
    kept.look()
    shutil.rmtree(home)
    kept.look()
    kept.look()
    assert file.read_text() == "b"
    assert logged(caplog, "home directory", "deleted") == 1


def test_who_follows_the_home_is_called_when_it_is_another_one(home, tmp_path, caplog):
    kept = KeptFiles(home)
    followed = Mock()
    one, other = object(), object()
    kept.follow(one, followed)
    kept.follow(other, Mock(side_effect=AssertionError))
    kept.unfollow(other)
    kept.look()
    home.rename(tmp_path / "old")
    home.mkdir()  # by whoever wrote there first
    kept.look()
    kept.look()
    assert followed.call_count == 1
    assert logged(caplog, "home directory", "deleted") == 1


def test_what_cannot_be_made_is_tried_again_and_said_once(home, caplog):
    kept = KeptFiles(home)
    file = home / "file"
    file.write_text("a")
    make = Mock(side_effect=[StoreError("no"), OSError("no"), StoreError("no")])
    kept.keep(file, make)
    kept.look()
    file.unlink()
    for _ in range(3):
        kept.look()
    assert make.call_count == 3
    assert logged(caplog, "file is gone and cannot be made anew") == 1


def test_nothing_is_made_below_a_mount_that_is_missing(tmp_path):
    with mounted_disk(tmp_path / "disk", 4) as disk:
        home = disk.folder / "home"
        home.mkdir()
        kept = KeptFiles(home)
        file = home / "file"
        file.write_text("a")
        kept.keep(file, lambda: file.write_text("b"))
        kept.look()
        assert subprocess.run(["umount", "-l", str(disk.folder)]).returncode == 0
        kept.look()
        assert list(disk.folder.iterdir()) == []
        mount = ["mount", "-t", "tmpfs", "tmpfs", str(disk.folder)]  # for small_disk to unmount
        assert subprocess.run(mount).returncode == 0
