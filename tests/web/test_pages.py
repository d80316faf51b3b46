import re

from jph.node.process import STATE, ComponentStatus
from tests.helpers import eventually
from tests.web.bus import SENDER, component, control, reading
from tests.web.client import Client
from web import app


def card(page, codifier):
    """Return the markup of one card."""
    return re.search(rf'<li class="card" data-codifier="{codifier}".*?</li>', page, re.S)[0]


def test_the_dashboard_shows_values_states_and_loss_before_any_script_runs(web, client):
    web.on_control(control("N", "A1"), SENDER)
    web.on_batch([reading("A2", 5_834_900_000)])
    page = client.get("/").text
    memory = card(page, "A2")
    assert ">5.83<" in memory
    assert ">GB<" in memory
    assert "Active" in memory
    assert "0 lost" in memory
    assert "Never seen" in card(page, "A3")
    assert "<b>2</b> active" in page


def test_services_stand_apart_from_sensors(client):
    page = client.get("/").text
    sensors, _, services = page.partition(">Services</h2>")
    assert 'data-codifier="A1"' in sensors
    assert 'data-codifier="H1"' not in sensors
    assert 'data-codifier="H1"' in services
    assert 'data-codifier="W1"' in services


def test_a_fault_of_the_history_is_an_alert(web, client):
    web.on_batch([reading("H1", {"value": 1, "fault": "disk <full>"})])
    page = client.get("/").text
    assert re.search(r'role="alert"\s*>\s*<p><strong>History is not being stored', page)
    assert "disk &lt;full&gt;" in page


def test_strangers_on_the_bus_are_one_quiet_line(web, client):
    web.on_batch([reading("Z9", 1.0)])
    assert re.search(r"not in the configuration: <span>Z9</span>", client.get("/").text)


def test_only_who_signed_in_sees_buttons(client, owner):
    assert "Actions for" not in client.get("/").text
    assert "Actions for Load" in owner.get("/").text
    assert 'class="actions"' not in client.get("/component/A1").text
    assert 'class="actions"' in owner.get("/component/A1").text


def test_the_button_starts_what_is_halted(web, owner):
    web.on_control(control("I", "A1", is_active=False), SENDER)
    page = owner.get("/component/A1").text
    assert re.search(r'name="flag" value="S">\s*<button[^>]*data-toggle[^>]*>Start<', page)


def test_what_ignores_a_halt_has_no_such_button(owner):
    page = owner.get("/component/W1").text
    assert "data-toggle" not in page
    assert ">Ping<" in page


def test_a_component_page_tells_its_configuration(web, client):
    page = client.get("/component/A1").text
    assert "Counts as silent after" in page
    assert "Month</button>" in page
    for address in ("/sensorboard/A1", "/sensorinfo/A1"):
        assert "Counts as silent after" in client.get(address).text


def test_a_text_sensor_has_a_list_in_place_of_a_chart(client):
    page = client.get("/component/A3").text
    assert 'id="texts"' in page
    assert 'id="chart"' not in page


def test_the_error_of_a_component_in_this_process_is_shown(web, client):
    web.channel.statuses["A1"] = ComponentStatus(
        STATE.FAILED,
        "/dev/x is missing",
        is_failing=True,
        is_active=True,
        overruns=0,
        last_good_ms=None,
    )
    web.on_control(control("I", "A1"), SENDER)
    for page in ("/component/A1", "/"):
        eventually(lambda page=page: "/dev/x is missing" in client.get(page).text)
    assert 'data-state="failing"' in client.get("/component/A1").text
    health = client.get("/healthz").json
    assert (health["failing"], health["failing_reasons"]) == (1, "A1: /dev/x is missing")
    web.channel.statuses.clear()
    eventually(lambda: client.get("/healthz").json["failing_reasons"] is None)
    assert "/dev/x is missing" not in client.get("/component/A1").text


def test_a_proxy_names_its_server(make_web):
    web = make_web(
        component("A1", settings={"Proxy": [{"Codifier": "A2"}]}), component("A2", type="Proxy")
    )
    client = Client(web.bound_port)
    assert re.search(r'Served by <a href="/component/A1">', client.get("/component/A2").text)
    assert re.search(
        r'Serves</dt><dd><a href="/component/A2">A2</a> <bdi>Name of A2</bdi>, never',
        client.get("/component/A1").text,
    )


def test_errors_are_tidy_pages_for_people_and_json_for_programs(client):
    page = client.get("/nothing/here")
    assert page.status == 404
    assert "Go to the overview" in page.text
    assert client.get("/component/zz").status == 404
    assert client.ask("DELETE", "/").status in (403, 405)


def test_a_bug_is_a_page_that_tells_nothing(web, client, monkeypatch, caplog):
    client.get("/")
    monkeypatch.setattr(web._site.records, "all", lambda: 1 / 0)
    answer = client.get("/")
    assert answer.status == 500
    assert "ZeroDivisionError" not in answer.text
    assert "ZeroDivisionError" in caplog.text


def test_a_time_beyond_the_calendar_breaks_no_page(web, client):
    web.on_batch([reading("A1", 1.0, timestamp_ms=(1 << 48) - 1)])
    assert client.get("/component/A1").status == 200
    assert client.get("/").status == 200


def test_pages_work_without_the_browser_libraries(make_web, tmp_path, monkeypatch, caplog):
    bare = tmp_path / "static"
    bare.mkdir()
    monkeypatch.setattr(app, "static_dir", lambda: bare)
    web = make_web()
    page = Client(web.bound_port).get("/component/A1").text
    assert "vendor/" not in page.replace("scripts/vendor", "")
    assert "scripts/vendor" in page
    assert "scripts/vendor" in caplog.text


def test_the_page_of_the_history_writer_tells_what_a_power_cut_costs(client):
    page = client.get("/component/H1").text
    assert "A power cut costs at most" in page
    assert "the readings of 60 s" in page
    assert "power cut" not in client.get("/component/A1").text
