import sys

import pytest

from jph import registry
from jph.errors import ConfigError

OLDER = {
    "TempLinux": "Pipe",
    "failsafeReader": "JSON",
    "ADCpiReader": "ADCPi",
    "ADAfruitReader": "AM2302",
    "DwarfpoolReader": "Dwarfpool",
    "NestReader": "Nest",
    "ZwavePower": "Zwave",
    "PythonNinja": "Python",
    "controlSensor": "SetPoint",
    "fanControl": "Fan",
    "jphRedis": "StateCache",
    "jphPostgreSQL": "HistoryWriter",
    "jphCalcHistory": "Statistics",
    "postgresCalcHandler": "Statistics",
    "Flask": "Web",
}


@pytest.fixture
def plug_in(tmp_path, monkeypatch):
    """A package with two types, installed as pip would leave it; the second needs another."""
    (tmp_path / "acme_probe.py").write_text("class Probe:\n    pass\n")
    (tmp_path / "acme_needy.py").write_text("import acme_driver_that_is_not_there\n")
    info = tmp_path / "acme-1.2.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: acme\nVersion: 1.2\n")
    (info / "entry_points.txt").write_text(
        "[jph.types]\nProbe = acme_probe:Probe\nNeedy = acme_needy:Needy\n"
        "Gone = acme_probe:Gone\nPipe = acme_probe:Probe\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    registry._plug_ins.cache_clear()
    yield
    registry._plug_ins.cache_clear()
    for name in ("acme_probe", "acme_needy"):
        sys.modules.pop(name, None)


@pytest.mark.parametrize(("older", "name"), OLDER.items())
def test_older_names_stay_valid(older, name):
    assert registry.canonical(older) == name
    assert registry.is_run(older) == registry.is_run(name)


def test_an_older_name_brings_its_preset():
    assert registry.preset("TempLinux") == {"Scale": 0.001}
    assert registry.preset("Pipe") == {}
    assert registry.preset("jphRedis") == {"URL": "redis://127.0.0.1:6379/0"}
    assert registry.note("jphRedis") == ""


@pytest.mark.parametrize("name", [name for name, place in registry.TYPES.items() if place])
def test_every_place_in_the_table_holds_a_class(name):
    found = registry.find(name)
    assert isinstance(found, type)
    assert any(
        hasattr(found, method)
        for method in ("read", "on_timer", "on_batch", "on_data", "on_control")
    )


def test_a_type_without_implementation_is_known_but_not_run():
    assert registry.canonical("Router") == "Router"
    assert not registry.is_run("Router")
    with pytest.raises(ConfigError, match="Type Router "):
        registry.find("Router")


def test_proxy_and_control_program_are_known_and_never_run():
    assert {registry.canonical(name) for name in registry.NEVER_RUN} == registry.NEVER_RUN
    assert not any(registry.is_run(name) for name in registry.NEVER_RUN)


@pytest.mark.parametrize(("wrong", "right"), [("Pipee", "Pipe"), ("json", "JSON"), ("WEB", "Web")])
def test_an_unknown_type_brings_a_suggestion(wrong, right):
    assert registry.canonical(wrong) is None
    assert registry.unknown(wrong) == f'unknown Type "{wrong}"; did you mean {right}?'
    with pytest.raises(ConfigError, match="unknown Type"):
        registry.find(wrong)


def test_what_resembles_nothing_brings_no_suggestion():
    assert registry.unknown("qqqq") == 'unknown Type "qqqq"'


def test_another_package_adds_a_type_but_takes_none(plug_in):
    assert registry.canonical("Probe") == "Probe"
    assert registry.is_run("Probe")
    assert registry.find("Probe").__module__ == "acme_probe"
    assert registry.find("Pipe").__module__ == "sensors.pipe"
    assert "Probe" in registry.names()


def test_a_missing_package_is_named(plug_in):
    with pytest.raises(ConfigError) as caught:
        registry.find("Needy")
    assert caught.value.mistakes == [
        "Type Needy (of acme) needs acme_driver_that_is_not_there, which is not installed"
    ]


def test_a_missing_class_is_named(plug_in):
    with pytest.raises(ConfigError, match="acme_probe:Gone"):
        registry.find("Gone")


def test_the_extra_that_brings_a_missing_package_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "web.serving.server", None)
    monkeypatch.delitem(sys.modules, "web.service", raising=False)
    with pytest.raises(ConfigError, match=r"pip install 'jph\[web\]'"):
        registry.find("Web")
