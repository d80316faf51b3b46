import copy
import json
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jph import registry
from jph.config import checks
from jph.config.model import build

DATA = Path(__file__).parents[2] / "data"
SHIPPED = Path(__file__).parents[3] / "static" / "config.json"


def group(address, port, **more):
    return {"Address": address, "Port": port, **more}


def network(*entries, **more):
    """Return a document with these components, and other keys of the top."""
    return {
        "Multicast": {
            "Control-Channel": group("239.1.1.1", 5001),
            "Data-Channel": group("239.1.1.2", 5002),
        },
        "Sensors": list(entries),
        **more,
    }


def pipe(codifier="A1", **more):
    return {
        "Codifier": codifier,
        "Type": "Pipe",
        "SensorInterval": 1,
        "Sensor": {"Pipe": "/x"},
        **more,
    }


def json_sensor(codifier, *proxies, **more):
    fields = [{"Codifier": proxy, "Field": "f"} for proxy in proxies]
    own = {"URL": "http://192.0.2.1/", "Field": "f", "Proxy": fields}
    return pipe(codifier, Type="JSON", Sensor={**own, **more})


def proxy(codifier, **settings):
    return {"Codifier": codifier, "Type": "Proxy", "Sensor": settings}


def mistakes(*entries, **more):
    return checks.check(network(*entries, **more))[0]


def warnings(*entries, **more):
    found, said = checks.check(network(*entries, **more))
    assert found == []
    return said


def test_the_shipped_network_is_in_order():
    assert checks.check(json.loads(SHIPPED.read_bytes())) == ([], [])


def test_a_network_in_the_older_style_loads_unchanged():
    document = json.loads((DATA / "existing-config.json").read_bytes())
    found, said = checks.check(document)
    assert found == []
    names = {entry["Type"] for entry in document["Sensors"]}
    assert names >= set(registry.OLDER)
    assert all(
        "is not in this version" in line
        or "in this version, not" in line
        or "names no file" in line
        for line in said
    )


def test_a_number_may_stand_in_quotes():
    """As older configurations have it; text that is no number is a mistake as before."""
    numbers = {"Scale": "0.5", "Number": "2", "Timeout": "1e1"}
    assert mistakes(pipe(SensorInterval="5", Sensor={"Pipe": "/x", **numbers})) == []
    assert mistakes(pipe(Sensor={"Pipe": "/x", "Number": "-1", "Timeout": "nan"})) == [
        "Sensors[0].Sensor.Timeout: must be a finite number",
        "Sensors[0].Sensor.Number: must be >= 0",
    ]


def test_a_proxy_may_name_its_server_as_older_configurations_do():
    calculation = {"Codifier": "P1", "Type": "PythonNinja", "SensorInterval": 5}
    calculation["Sensor"] = {"Filename": "x.py", "Proxy": [{"Codifier": "P2"}]}
    proxies = [
        {"Codifier": code, "Type": "Proxy", "Sensor": {"Codifier": "P1"}} for code in ("P2", "P3")
    ]
    assert mistakes(calculation, *proxies) == []
    assert mistakes(pipe(), {**proxies[0], "Sensor": {"Codifier": "P9"}}) == [
        "Sensors[1].Sensor.Server: must be the Codifier of the component that sends its data"
    ]


def test_a_document_that_is_no_object_is_refused():
    assert checks.check([]) == (["the document must be an object"], [])


def test_only_few_keys_are_required():
    assert checks.check({"Sensors": [{}]})[0] == [
        "Multicast: is required",
        "Sensors[0].Codifier: is required",
        "Sensors[0].Type: is required",
    ]
    assert mistakes({"Codifier": "W1", "Type": "Flask"}) == []


def pages(codifier, type="Web", **more):
    host = {"Host": more.pop("on")} if "on" in more else {}
    return {"Codifier": codifier, "Type": type, "Sensor": more, **host}


@pytest.mark.parametrize(
    ("one", "other", "port"),
    [
        (pages("W1", "Flask"), pages("W2", "Flask"), 5000),
        (pages("W1"), pages("W2", Port=8080), 8080),
        (pages("W1"), pages("W2", Host="0.0.0.0"), 8080),
        (pages("W1", Host="::"), pages("W2"), 8080),
        (pages("W1", on="pi1"), pages("W2"), 8080),
        (pages("W1", on="pi1"), pages("W2", on="PI1.example.org"), 8080),
        (pages("W1", "Flask"), pages("W2", Port="5000"), 5000),
        (pages("W1"), pages("W2", "Flask"), None),
        (pages("W1", on="pi1"), pages("W2", on="pi2"), None),
        (pages("W1", Port=0), pages("W2", Port=0), None),
        (pages("W1", Host="192.0.2.1"), pages("W2", Host="192.0.2.2"), None),
        (pages("W1"), pages("W2", Port="none"), "is a mistake of another kind"),
        (pages("W1"), {**pages("W2"), "Type": "Pipe"}, "is a mistake of another kind"),
    ],
)
def test_two_components_on_one_port_of_one_machine_are_both_named(one, other, port):
    expected = []
    if isinstance(port, int):
        expected = [
            f"Sensors[1].Sensor.Port: W2 and W1 would both listen on port {port} of one machine;"
            " give one of them another Port, or each the Host that runs it"
        ]
    assert [line for line in mistakes(one, other) if "listen" in line] == expected


def test_only_components_that_are_run_take_a_port():
    document = network(pages("W1"), pages("W2"))
    assert checks.check(document, lambda entry: entry["Codifier"] == "W2") == ([], [])
    assert checks.check(document, checks.runs_nothing) == ([], [])


def test_what_is_empty_or_null_counts_as_absent():
    entry = pipe(ShortName="", Name=None, Symbol=None, DataType=None, Host="", Control=None)
    assert mistakes(entry, Logging=None) == []


@pytest.mark.parametrize(
    ("channel", "mistake"),
    [
        (group("239.1.1.1", 0), "Control-Channel.Port: must be >= 1"),
        (group("239.1.1.1", 65536), "Control-Channel.Port: must be <= 65535"),
        (group("239.1.1.1", "control"), "Control-Channel.Port: must be a whole number"),
        (group("239.1.1.1", 5001, TTL=256), "Control-Channel.TTL: must be <= 255"),
        (group("239.1.1.1", 5001, TTL=-1), "Control-Channel.TTL: must be >= 0"),
        (group("239.1.1.1", 5001, Loop=1), "Control-Channel.Loop: must be true or false"),
        (group("239.1.1.1", 5001, ReceiveBuffer=0), "Control-Channel.ReceiveBuffer: must be > 0"),
        ({"Port": 5001}, "Control-Channel.Address: is required"),
        ([], "Control-Channel: must be an object"),
        (group("239.1.1.2", 5002), "Data-Channel: must differ from the other in Address or Port"),
        *(
            (
                group(address, 5001),
                "Control-Channel.Address: must be an IPv4 multicast address,"
                " 224.0.0.0 to 239.255.255.255",
            )
            for address in ("", "192.0.2.1", "240.0.0.1", "239.1.1", "239.1.1.256", "239.1.1.01")
        ),
    ],
)
def test_a_wrong_channel_is_named(channel, mistake):
    document = network()
    document["Multicast"]["Control-Channel"] = channel
    assert checks.check(document)[0] == [f"Multicast.{mistake}"]


@pytest.mark.parametrize(
    ("key", "value", "mistake"),
    [
        ("SensorInterval", 0, "must be > 0"),
        ("SensorInterval", -1, "must be > 0"),
        ("SensorInterval", "often", "must be a number"),
        ("SensorInterval", True, "must be a number"),
        ("KeepAliveInterval", 0, "must be > 0"),
        ("TimeoutWarning", -0.5, "must be >= 0"),
        ("Active", "yes", "must be true or false"),
        ("DataType", "int", "must be one of float, double, integer, bool, string, json"),
        ("Control", True, "must be one of enabled, disabled"),
        ("Sensor", [], "must be an object"),
        ("Codifier", 11, "must be text"),
        ("Name", 1, "must be text"),
        ("Type", None, "is required"),
    ],
)
def test_a_wrong_value_of_a_component_is_named(key, value, mistake):
    line = f"Sensors[1].{key}: {mistake}"
    assert line in mistakes(pipe("B1"), pipe(**{key: value}))


@pytest.mark.parametrize("codifier", ["", "A", "ABC", "A ", "@@", "Ä1", "A\n"])
def test_a_codifier_is_two_printable_ascii_characters(codifier):
    (line,) = mistakes(pipe(codifier))
    assert line.startswith("Sensors[0].Codifier: must be two printable ASCII characters")
    assert "\n" not in line


def test_a_codifier_stands_once():
    assert mistakes(pipe("B1"), pipe("A1"), pipe("B2"), pipe("A1")) == [
        'Sensors[3].Codifier: Codifier "A1" is also used by Sensors[1]'
    ]


def test_mistakes_come_in_the_order_of_the_document():
    found = mistakes(pipe("A1", Active=1), 7, pipe("A1", Sensor={}))
    assert [line.partition(":")[0] for line in found] == [
        "Sensors[0].Active",
        "Sensors[1]",
        "Sensors[2].Codifier",
        "Sensors[2].Sensor.Pipe",
    ]


def test_settings_of_a_type_are_checked():
    entry = json_sensor("A1", Timeout=0, URL=None)
    assert mistakes(entry) == [
        "Sensors[0].Sensor.URL: is required",
        "Sensors[0].Sensor.Timeout: must be > 0",
    ]


@pytest.mark.parametrize(
    ("type_name", "settings", "mistake"),
    [
        ("JSON", {"URL": "ftp://pi/x", "Field": "t"}, "URL: must begin with http:// or https://"),
        ("Dwarfpool", {"URL": "file:///x"}, "URL: must begin with http:// or https://"),
        ("Nest", {"URL": "http://example.com"}, "URL: must begin with https://"),
        ("Zwave", {"Server": "http://pi", "node": 2, "index": 1}, "Server: must be ws://"),
        ("Zwave", {"Server": "ws://pi:3000", "node": 2}, "index: is required, or Property"),
        ("SetPoint", {"Min": 5}, "Default: 0 must be 5 or more"),
        ("Pipe", {"Pipe": []}, "Pipe: is empty"),
    ],
)
def test_settings_that_no_component_could_be_made_of_are_found_before_it_is(
    type_name, settings, mistake
):
    (line,) = mistakes(pipe(Type=type_name, Sensor=settings))
    assert line.startswith(f"Sensors[0].Sensor.{mistake}")


def test_an_older_name_may_rely_on_its_preset():
    assert mistakes(pipe(Type="TempLinux", Sensor={"Pipe": "/x"})) == []


def test_unknown_keys_only_warn():
    entry = pipe(Sensorinterval=3, Sensor={"Pipe": "/x", "Timout": 3, "__note": 1}, __note=1)
    assert warnings(entry, Sensor=[]) == [
        "Sensor: unknown key, ignored; did you mean Sensors?",
        "Sensors[0].Sensorinterval: unknown key, ignored; did you mean SensorInterval?",
        "Sensors[0].Sensor.Timout: unknown key, ignored; did you mean Timeout?",
    ]
    served = json_sensor("A1", "B1")
    served["Sensor"]["Proxy"][0]["Feld"] = "x"
    assert warnings(served, proxy("B1")) == [
        "Sensors[0].Sensor.Proxy[0].Feld: unknown key, ignored; did you mean Field?"
    ]


def test_an_unknown_type_is_a_mistake_with_a_suggestion():
    assert mistakes(pipe(Type="Pipee")) == [
        'Sensors[0].Type: unknown Type "Pipee"; did you mean Pipe?'
    ]


def test_an_unknown_type_of_another_host_only_warns(monkeypatch):
    monkeypatch.setenv("JPH_HOST", "pi1")
    entry = pipe(Type="Acme", Host="pi2")
    assert warnings(entry) == ['Sensors[0].Type: unknown Type "Acme"']
    monkeypatch.setenv("JPH_HOST", "pi2.example.org")
    assert mistakes(entry) == ['Sensors[0].Type: unknown Type "Acme"']


def test_a_type_that_is_not_in_this_version_warns():
    assert warnings(pipe(Type="Router")) == [
        "Sensors[0].Type: Type Router is not in this version; the component is not run"
    ]


def test_a_reader_without_interval_warns():
    assert warnings(pipe(SensorInterval=None)) == [
        "Sensors[0].SensorInterval: is absent, so the component is never read"
    ]


def nest(*proxies, data_type="float", **settings):
    fields = [{"Codifier": codifier, "Field": field} for codifier, field in proxies]
    return pipe("N1", Type="Nest", DataType=data_type, Sensor={**settings, "Proxy": fields})


def test_a_component_that_gets_text_and_wants_a_number_warns():
    text = "sdm.devices.traits.ThermostatMode.mode"
    proxies = [("N2", "hvac"), ("N3", text), ("N4", "humidity"), ("N5", "mode")]
    others = [{**proxy(codifier), "DataType": "float"} for codifier, _ in proxies]
    others[0].pop("DataType")
    others[1]["DataType"] = "double"
    others[3]["DataType"] = "string"
    own, first, second = warnings(nest(*proxies, Field="mode"), *others)
    assert own == (
        'Sensors[0].DataType: N1 gets mode, which is text and no float; set DataType to "string"'
    )
    assert first.startswith("Sensors[1].DataType: N2 gets hvac, which is text and no float")
    assert second.startswith(f"Sensors[2].DataType: N3 gets {text}, which is text and no double")
    assert checks.check(network({**nest(Field="mode"), "Codifier": []}))[1] == []
    assert warnings(nest()) == warnings(nest(data_type="string", Field="mode")) == []


def test_a_type_whose_package_is_missing_warns(monkeypatch):
    monkeypatch.setitem(sys.modules, "sensors.pipe", None)
    (line,) = warnings(pipe())
    assert line.startswith("Sensors[0].Sensor: is not checked: Type Pipe ")


@pytest.mark.parametrize(
    ("entries", "found"),
    [
        ([json_sensor("A1", "B1"), proxy("B1")], []),
        ([json_sensor("A1", "B1"), proxy("B1", Server="A1")], []),
        (
            [json_sensor("A1", "B1")],
            ['Sensors[0].Sensor.Proxy[0].Codifier: "B1" is not in Sensors'],
        ),
        (
            [json_sensor("A1", "B1"), pipe("B1")],
            ['Sensors[0].Sensor.Proxy[0].Codifier: "B1" must be of Type Proxy, Sensors[1] is not'],
        ),
        (
            [json_sensor("A1", "A1")],
            ['Sensors[0].Sensor.Proxy[0].Codifier: "A1" is the component itself'],
        ),
        (
            [json_sensor("A1", "B1", "B1"), proxy("B1")],
            ['Sensors[0].Sensor.Proxy[1].Codifier: "B1" is named twice'],
        ),
        (
            [json_sensor("A1", "B1"), proxy("B1"), json_sensor("A2", "B1")],
            ['Sensors[2].Sensor.Proxy[0].Codifier: "B1" is also named by Sensors[0]'],
        ),
        ([proxy("B1")], ['Sensors[0].Codifier: no Proxy list names "B1"']),
        (
            [json_sensor("A1", "B1"), proxy("B1", Server="A2"), pipe("A2")],
            ['Sensors[1].Sensor.Server: must be "A1", whose Proxy list names "B1"'],
        ),
        (
            [proxy("B1", Server="A1")],
            ["Sensors[0].Sensor.Server: must be the Codifier of the component that sends its data"],
        ),
        (
            [json_sensor("A1", "B2"), proxy("B1", Server="A1"), proxy("B2")],
            ['Sensors[1].Sensor.Server: the Proxy list of "A1" does not name "B1"'],
        ),
        # A calculation sends for others without a list of them.
        ([pipe("H1", Type="PythonNinja"), proxy("B1", Server="H1")], []),
        (
            [pipe("A1", Type="AM2302", Sensor={"Pin": 4, "Proxy": [{"Pin": 4}]})],
            ["Sensors[0].Sensor.Proxy[0].Codifier: is required"],
        ),
    ],
)
def test_components_agree_about_who_sends_for_whom(entries, found):
    assert mistakes(*entries) == found


def with_url(type_name, url):
    return pipe(
        Type=type_name, Sensor={"URL": url, "Field": "t"} if type_name == "JSON" else {"URL": url}
    )


@pytest.mark.parametrize(
    ("type_name", "url"),
    [
        ("JSON", "http://me:secret@192.0.2.1/x"),
        ("HistoryWriter", "postgresql://me:se/cret@192.0.2.1/x"),
        ("StateCache", "redis://:secret@127.0.0.1:6379/0"),
        ("HistoryWriter", "postgresql://192.0.2.1/x?user=me&password=secret"),
    ],
)
def test_a_password_in_a_url_is_refused_and_not_repeated(type_name, url):
    (line,) = mistakes(with_url(type_name, url))
    assert line.startswith("Sensors[0].Sensor.URL: must not hold a password")
    assert "cret" not in line


def test_an_address_of_another_kind_is_not_repeated_either():
    lines = mistakes(with_url("JSON", "postgresql://me:se/cret@192.0.2.1/x"))
    assert lines
    assert "cret" not in str(lines)


@pytest.mark.parametrize(
    ("type_name", "url"),
    [
        ("JSON", "http://192.0.2.1:8080/a@b"),
        ("JSON", "http://[::1]:80/a@b"),
        ("JSON", "http://me@192.0.2.1/"),
        ("JSON", "http://192.0.2.1/?email=a@example.org"),
        ("HistoryWriter", "sqlite:///history.sqlite"),
        ("StateCache", "memory:"),
    ],
)
def test_a_url_without_password_is_none(type_name, url):
    assert mistakes(with_url(type_name, url)) == []


def test_a_password_file_that_is_missing_warns_without_repeating_it(tmp_path):
    there = tmp_path / "password"
    there.write_text("x")

    def writer(value):
        sql = {"Database": "jph", "User": "jph", "Password": value}
        return pipe(Type="Statistics", Sensor={"SQL": sql})

    assert warnings(writer(str(there))) == []
    (line,) = warnings(writer("hunter2"))
    assert line.startswith("Sensors[0].Sensor.SQL.Password: names no file")
    assert "hunter2" not in line
    elsewhere = {**writer("hunter2"), "Host": "another-machine"}
    assert warnings(elsewhere) == []


@pytest.mark.parametrize(
    ("logging", "found"),
    [
        ({"version": 1}, []),
        ({}, ["Logging.version: must be 1"]),
        ([], ["Logging: must be an object"]),
        ({"version": 1, "handlers": []}, ["Logging.handlers: must be an object"]),
        ({"version": 1, "loggers": {"Pipe": 1}}, ["Logging.loggers.Pipe: must be an object"]),
        (
            {"version": 1, "root": {"handlers": ["syslog"]}},
            ['Logging.root.handlers[0]: "syslog" is not among Logging.handlers'],
        ),
    ],
)
def test_logging_is_looked_through(logging, found):
    assert mistakes(Logging=logging) == found


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-2, 70)
    | st.sampled_from([0.5, 3.0, 1e300, 10**400, float("inf"), "", "fast", "x", "2", "0.5"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["Codifier", "Pin", "other"]), inner, max_size=3)
    ),
    max_leaves=6,
)


def damaged(data, document):
    """Return a document with some value somewhere replaced by another."""
    document = copy.deepcopy(document)
    places = [document]
    for _ in range(data.draw(st.integers(1, 5))):
        place = places[-1]
        key = data.draw(
            st.sampled_from(sorted(place) if isinstance(place, dict) else range(len(place)))
        )
        if isinstance(place[key], dict | list) and place[key]:
            places.append(place[key])
        else:
            break
    place[key] = data.draw(JSON)
    return document


SOUND = {
    **network(json_sensor("A1", "B1"), proxy("B1", Server="A1"), pipe("C1")),
    "Logging": {"version": 1, "handlers": {}, "root": {"handlers": []}},
}


@given(st.data())
def test_any_damage_to_a_document_is_survived(data):
    document = damaged(data, SOUND)
    found, _ = checks.check(document)
    assert all(isinstance(line, str) for line in found)
    if not found:
        build(document)


def test_areas_and_labels_are_tidied():
    tidy = pipe(Area=" Greenhouse // North/ ", Labels=["mains", " mains ", "", "cooling"])
    components = build(network(tidy, pipe("A2", Area=None, Labels=None))).components
    assert components["A1"].area == "Greenhouse/North"
    assert components["A1"].labels == ("mains", "cooling")
    assert (components["A2"].area, components["A2"].labels) == ("", ())
    assert mistakes(pipe(Area=["a"], Labels="mains"), pipe("A2", Labels=[1])) == [
        "Sensors[0].Area: must be text",
        "Sensors[0].Labels: must be a list",
        "Sensors[1].Labels[0]: must be text",
    ]


def test_a_proxy_has_area_and_labels_of_its_server_unless_it_has_its_own():
    components = build(
        network(
            {**json_sensor("A1", "P1", "P2"), "Area": "Attic", "Labels": ["wet"]},
            proxy("P1"),
            {**proxy("P2"), "Area": "Roof", "Labels": ["dry"]},
        )
    ).components
    assert (components["P1"].area, components["P1"].labels) == ("Attic", ("wet",))
    assert (components["P2"].area, components["P2"].labels) == ("Roof", ("dry",))
