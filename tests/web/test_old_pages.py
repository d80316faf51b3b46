"""Addresses of older pages."""

import pytest

from tests.web.bus import obey


@pytest.mark.parametrize(
    "path, place",
    [
        *((path, "/") for path in ("/dashboard", "/component", "/sensorboard", "/sensorinfo")),
        ("/sensorlog", "/logview"),
    ],
)
def test_older_addresses_lead_to_the_present_pages(client, path, place):
    answer = client.get(path)
    assert (answer.status, answer.headers["Location"]) == (301, place)


@pytest.mark.parametrize("path", ["/sensorboard/A1", "/sensorinfo/A1", "/component/A1"])
def test_those_of_a_component_show_it(client, path):
    assert 'data-codifier="A1"' in client.get(path).text


def test_a_command_is_taken_by_post_alone(web, owner):
    obey(web)
    assert owner.get("/sensormsg?codifier=A1&flag=H").status == 405
    assert web.channel.told == []
    answer = owner.post("/sensormsg", csrf=owner.token("/component/A1"), codifier="A1", flag="H")
    assert answer.status == 303
    assert web.channel.told == [("H", "A1", None)]
