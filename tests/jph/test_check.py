import json
import logging
import sys

import pytest

from jph import check, registry
from jph.errors import ConfigError

GOOD = {
    "Multicast": {
        "Control-Channel": {"Address": "239.1.1.1", "Port": 5001},
        "Data-Channel": {"Address": "239.1.1.2", "Port": 5002},
    },
    "Sensors": [{"Codifier": "A1", "Type": "Router"}],
}
WARNING = "Sensors[0].Type: Type Router is not in this version; the component is not run"


def check_once(content, home):
    text = json.dumps(content).encode()
    return check.check_once(text, content, "config.json", home)


@pytest.fixture
def counted(monkeypatch):
    """The documents that were checked in full."""
    texts = []
    checked = check.check

    def count(text):
        texts.append(text)
        return checked(text)

    monkeypatch.setattr(check, "check", count)
    return texts


def test_a_document_is_checked_once(tmp_path, counted):
    assert check_once(GOOD, tmp_path) == (WARNING,)
    assert check_once(GOOD, tmp_path) == (WARNING,)
    assert len(counted) == 1
    check_once({**GOOD, "__comment": "another"}, tmp_path)
    assert len(counted) == 2


def test_a_document_with_mistakes_is_checked_again(tmp_path, counted):
    for _ in range(2):
        with pytest.raises(ConfigError) as caught:
            check_once({"Sensors": []}, tmp_path)
        assert caught.value.mistakes == ["Multicast: is required"]
        assert caught.value.source == "config.json"
    assert len(counted) == 2


def test_only_few_checks_are_remembered(tmp_path, counted, monkeypatch):
    monkeypatch.setattr(check, "_check_apart", lambda text: None)
    for number in range(check.STAMPS_KEPT + 1):
        check_once({**GOOD, "__comment": number}, tmp_path)
    known = json.loads((tmp_path / "config" / "checked.json").read_bytes())["checked"]
    assert len(known) == check.STAMPS_KEPT
    check_once({**GOOD, "__comment": 1}, tmp_path)
    assert len(counted) == check.STAMPS_KEPT + 1
    check_once({**GOOD, "__comment": 0}, tmp_path)
    assert len(counted) == check.STAMPS_KEPT + 2


@pytest.mark.parametrize("text", [b"", b"{", b"[]", b'{"checked": [1, {"stamp": []}]}', b"\xff"])
def test_a_damaged_memory_is_no_memory(tmp_path, counted, text):
    check_once(GOOD, tmp_path)
    (tmp_path / "config" / "checked.json").write_bytes(text)
    assert check_once(GOOD, tmp_path) == (WARNING,)
    assert len(counted) == 2


def test_a_home_that_cannot_be_written_does_no_harm(tmp_path, counted, caplog):
    home = tmp_path / "file"
    home.write_text("")
    for _ in range(2):
        assert check_once(GOOD, home) == (WARNING,)
    assert len(counted) == 2
    assert not [record for record in caplog.records if record.levelno > logging.DEBUG]


def test_another_host_is_another_check(tmp_path, counted, monkeypatch):
    for host in ("pi1", "pi2"):
        monkeypatch.setenv("JPH_HOST", host)
        check_once(GOOD, tmp_path)
    assert len(counted) == 2


def test_types_of_other_packages_are_checked_again_when_packages_change(
    tmp_path, counted, monkeypatch
):
    """The type stands for another host, so that it need not be known here."""
    content = {**GOOD, "Sensors": [{"Codifier": "A1", "Type": "Acme", "Host": "elsewhere"}]}
    monkeypatch.syspath_prepend(tmp_path / "packages")
    (tmp_path / "packages").mkdir()
    home = tmp_path / "home"
    check_once(content, home)
    check_once(content, home)
    assert len(counted) == 1
    (tmp_path / "packages" / "acme-1.0.dist-info").mkdir()
    check_once(content, home)
    assert len(counted) == 2


def test_the_check_runs_in_a_process_of_its_own(monkeypatch):
    monkeypatch.setattr("jph.schema.check", None)
    assert check.check(json.dumps(GOOD).encode()) == ([], [WARNING])


def test_the_process_knows_the_types_that_this_one_knows(tmp_path, monkeypatch):
    (tmp_path / "acme_loud.py").write_text("print('hello')\nclass Loud:\n    pass\n")
    info = tmp_path / "acme_loud-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: acme-loud\nVersion: 1\n")
    (info / "entry_points.txt").write_text("[jph.types]\nLoud = acme_loud:Loud\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr("jph.schema.check", None)
    content = {**GOOD, "Sensors": [{"Codifier": "A1", "Type": "Loud"}]}
    assert check.check(json.dumps(content).encode()) == ([], [])


@pytest.mark.parametrize("program", ["/nonexistent", "/bin/false", "/bin/true"])
def test_without_a_process_of_its_own_the_check_runs_here(monkeypatch, program):
    monkeypatch.setattr(sys, "executable", program)
    assert check.check(json.dumps(GOOD).encode()) == ([], [WARNING])


def test_without_pydantic_it_is_said_once_and_nothing_is_remembered(tmp_path, monkeypatch, caplog):
    monkeypatch.setitem(sys.modules, "pydantic", None)
    monkeypatch.setattr(check, "_said", set())
    for _ in range(2):
        assert check_once({"Sensors": 3}, tmp_path) == ()
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "is not checked in full" in caplog.text
    assert not (tmp_path / "config").exists()


def test_a_table_that_changed_checks_again(tmp_path, counted, monkeypatch):
    check_once(GOOD, tmp_path)
    monkeypatch.setattr(registry, "TYPES", {})
    monkeypatch.setattr(registry, "installed", lambda: ["another"])
    with pytest.raises(ConfigError):  # this process no longer knows it; the other one would
        monkeypatch.setattr(sys, "executable", "/nonexistent")
        check_once(GOOD, tmp_path)
    assert len(counted) == 2
