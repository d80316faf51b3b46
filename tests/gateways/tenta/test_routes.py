"""The REST API of Tenta: statuses, bodies, order of checks, pages; on both kinds of store."""

import pytest
from argon2 import PasswordHasher

from gateways.tenta import people
from gateways.tenta.writing import Batch, write

NOBODY = "0" * 64
UNKNOWN = "00000000-0000-4000-8000-000000000000"
CREDENTIALS = {"user_name": "happy-un1c0rn", "password": "12345678"}
S = 1_000_000


def is_error(answer, status, details):
    return (answer.status, answer.json) == (status, {"details": details})


def test_status(client):
    answer = client.get("/status")
    assert answer.status == 200
    assert {*answer.json} == {
        *("environment", "commit_sha", "branch_name"),
        *("start_timestamp", "mqtt_hostname", "mqtt_port"),
    }


def test_a_user_registers_and_signs_in(client):
    created = client.post("/users", CREDENTIALS)
    assert created.status == 201
    assert {*created.json} == {"user_identifier", "access_token"}
    assert is_error(client.post("/users", CREDENTIALS), 409, "Conflict")
    signed_in = client.post("/authentication", CREDENTIALS)
    assert signed_in.status == 201
    assert signed_in.json["user_identifier"] == created.json["user_identifier"]
    for token in (created.json["access_token"], signed_in.json["access_token"]):
        assert len(token) == 64
        assert client.get("/networks", token=token).json == []
    wrong = {**CREDENTIALS, "password": "123456789"}
    assert is_error(client.post("/authentication", wrong), 401, "Unauthorized")
    unknown = {**CREDENTIALS, "user_name": "nobody"}
    assert is_error(client.post("/authentication", unknown), 404, "Not Found")


def test_nobody_registers_where_that_is_closed(serve):
    client = serve(registration=False)
    assert is_error(client.post("/users", {}), 400, "Bad Request")
    assert is_error(client.post("/users", CREDENTIALS), 403, "Forbidden")


def test_who_guesses_passwords_has_to_wait(client):
    statuses = [client.post("/authentication", CREDENTIALS).status for _ in range(11)]
    assert statuses == [404] * 10 + [429]
    answer = client.post("/authentication", CREDENTIALS)
    assert is_error(answer, 429, "Too Many Requests")
    assert answer.headers["retry-after"] == "60"
    other = {**CREDENTIALS, "user_name": "other"}
    assert client.post("/authentication", other).status == 404
    for number in range(60):
        client.post("/authentication", {**CREDENTIALS, "user_name": f"guess-{number}"})
    assert client.post("/authentication", other).status == 429


def test_a_password_that_tenta_kept_is_understood(client, store):
    hashed = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1).hash("12345678")
    with store.writing() as connection:
        people.create_user(connection, CREDENTIALS["user_name"], hashed)
    assert client.post("/authentication", CREDENTIALS).status == 201
    wrong = {**CREDENTIALS, "password": "87654321"}
    assert client.post("/authentication", wrong).status == 401


def test_the_store_has_neither_tokens_nor_passwords(client, store):
    long = {**CREDENTIALS, "password": "x" * 72 + "the end counts"}
    token = client.post("/users", long).json["access_token"]
    with store.reading() as connection:
        _, hashed = people.find_user(connection, CREDENTIALS["user_name"])
        stored = str(connection.exec_driver_sql("SELECT access_token_hash FROM session").all())
    assert hashed.startswith("$2b$11$")
    assert token not in stored
    cut = {**CREDENTIALS, "password": "x" * 72 + "another end"}
    assert client.post("/authentication", cut).status == 401


@pytest.mark.parametrize("name", ["x", "x-x", "x-x-x", "x" * 64, "12345678", "12345678-abc"])
def test_names_that_are_allowed(mine, name):
    assert mine.post("/networks", {"network_name": name}).status == 201


@pytest.mark.parametrize(
    "name",
    ["", "-", "x-", "-x", "x--x", "x_x", "x#", "x" * 65, "X", "ä", "饭", "x\n", "x\0", 1, None],
)
def test_names_that_are_not(mine, name):
    assert mine.post("/networks", {"network_name": name}).status == 400
    assert mine.put(mine.path, {"sensor_name": name}).status == 400


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"user_name": "ada"},
        {"user_name": "ada", "password": "1234567"},
        {"user_name": "ada", "password": "x" * 257},
        {"user_name": "ada", "password": 12345678},
        {**CREDENTIALS, "more": 1},
        [],
        None,
    ],
)
def test_credentials_that_are_not(client, body):
    assert is_error(client.post("/users", body), 400, "Bad Request")
    assert is_error(client.post("/authentication", body), 400, "Bad Request")


def test_networks_and_sensors(mine):
    created = mine.post("/networks", {"network_name": "other"})
    assert created.status == 201
    assert is_error(mine.post("/networks", {"network_name": "other"}), 409, "Conflict")
    assert mine.get("/networks").json == [
        {"network_identifier": str(mine.network), "network_name": "ada-net"},
        {"network_identifier": created.json["network_identifier"], "network_name": "other"},
    ]
    sensors = f"/networks/{mine.network}/sensors"
    added = mine.post(sensors, {"sensor_name": "pikachu"})
    assert added.status == 201
    assert is_error(mine.post(sensors, {"sensor_name": "pikachu"}), 409, "Conflict")
    other = f"/networks/{created.json['network_identifier']}/sensors"
    assert mine.post(other, {"sensor_name": "pikachu"}).status == 201
    assert is_error(mine.put(mine.path, {"sensor_name": "pikachu"}), 409, "Conflict")
    renamed = mine.put(mine.path, {"sensor_name": "bulbasaur"})
    assert (renamed.status, renamed.json) == (200, {})
    assert mine.get(sensors).json == [
        {"sensor_identifier": str(mine.sensor), "sensor_name": "bulbasaur"},
        {"sensor_identifier": added.json["sensor_identifier"], "sensor_name": "pikachu"},
    ]


ROUTES = [
    ("POST", "/networks", {"network_name": "new"}),
    ("GET", "/networks", None),
    ("GET", "/networks/{network}", None),
    ("POST", "/networks/{network}/sensors", {"sensor_name": "new"}),
    ("GET", "/networks/{network}/sensors", None),
    ("PUT", "/networks/{network}/sensors/{sensor}", {"sensor_name": "new"}),
    ("POST", "/networks/{network}/sensors/{sensor}/configurations", {}),
    ("GET", "/networks/{network}/sensors/{sensor}/configurations", None),
    ("GET", "/networks/{network}/sensors/{sensor}/measurements", None),
    ("GET", "/networks/{network}/sensors/{sensor}/logs", None),
    ("GET", "/networks/{network}/sensors/{sensor}/logs/aggregates", None),
]


@pytest.mark.parametrize(("method", "path", "body"), ROUTES)
def test_checks_have_an_order(serve, store, method, path, body):
    mine, other = serve().begin(store), serve().begin(store, "eve")
    here = {"network": mine.network, "sensor": mine.sensor}

    def ask(who, where, *, query="", **options):
        return who.ask(method, path.format(**where) + query, body, **options)

    # 400 before 401, whatever the token
    for token in (None, NOBODY, mine.token):
        assert is_error(ask(mine, here, query="?unknown=1", token=token), 400, "Bad Request")
        wrong = {"network": "x", "sensor": str(UNKNOWN).upper().replace("0", "A")}
        if "{" in path:
            assert is_error(ask(mine, wrong, token=token), 400, "Bad Request")
    # 401 before 404
    nowhere = {"network": UNKNOWN, "sensor": UNKNOWN}
    for token in (None, NOBODY, "x y"):
        assert is_error(ask(mine, nowhere, token=token), 401, "Unauthorized")
    for scheme in ("Basic", "Bearer Bearer", "Bearer,"):
        header = {"Authorization": f"{scheme} {mine.token}"}
        assert ask(mine, here, token=None, headers=header).status == 401
    assert ask(mine, nowhere, token=None).headers["www-authenticate"] == "Bearer"
    if "{" in path:
        # 404 before 403
        assert is_error(ask(mine, nowhere), 404, "Not Found")
        theirs = {"network": other.network, "sensor": other.sensor}
        assert is_error(ask(mine, theirs), 403, "Forbidden")
    if "{sensor}" in path:  # a sensor, but of another network
        assert ask(mine, {**here, "sensor": other.sensor}).status == 404
        assert ask(mine, {**here, "network": other.network}).status == 404
    bearer = {"Authorization": f"bEaReR {mine.token}"}
    assert ask(mine, here, token=None, headers=bearer).status in (200, 201)


def test_a_body_where_none_is_meant(mine):
    assert mine.ask("GET", "/networks", raw=b"{}").status == 200
    assert mine.ask("GET", "/networks", raw=b'{"x": 1}').status == 400
    assert mine.ask("GET", "/status", raw=b"rubbish").status == 400


@pytest.mark.parametrize(
    "query",
    [
        *("direction=up", "direction=", "creation_timestamp=x", "creation_timestamp=-1"),
        *("creation_timestamp=nan", "creation_timestamp=inf", "creation_timestamp=2147483648"),
        *("aggregate=maybe", "revision=1", "Direction=next"),
    ],
)
def test_a_query_that_is_not_as_described(mine, query):
    assert is_error(mine.get(f"{mine.path}/measurements?{query}"), 400, "Bad Request")


def test_configurations_are_numbered_and_paged(mine):
    path = f"{mine.path}/configurations"
    assert mine.get(path).json == []
    for number in range(70):
        answer = mine.post(path, {"n": number, "cache": True, "strategy": "default"})
        assert (answer.status, answer.json) == (201, {"revision": number})
    first = mine.get(path).json
    assert [each["revision"] for each in first] == [*range(64)]
    assert first[3]["value"] == {"n": 3, "cache": True, "strategy": "default"}
    assert isinstance(first[3]["creation_timestamp"], float)
    names = ("publication", "acknowledgment", "receipt")
    assert [first[3][f"{name}_timestamp"] for name in names] == [None] * 3
    assert first[3]["success"] is None

    def numbers(query):
        return [each["revision"] for each in mine.get(f"{path}?{query}").json]

    assert numbers("direction=next&revision=63") == [*range(64, 70)]
    assert numbers("direction=previous") == [*range(6, 70)]
    assert numbers("direction=previous&revision=6") == [*range(6)]
    assert numbers("direction=next&revision=2147483647") == []
    assert numbers("direction=next&direction=previous&revision=2") == [0, 1]
    for wrong in ("revision=-1", "revision=2147483648", "revision=x", "revision=1.5"):
        assert mine.get(f"{path}?{wrong}").status == 400


@pytest.mark.parametrize(
    "raw",
    [
        *(b"42", b'"text"', b"true", b"null", b"[]", b'{"a": NaN}', b'{"a": 1e999}'),
        *(b'{"a": "\\u0000"}', b'{"\\u0000": 1}', b'{"a": "\\ud800"}'),
        b'{"a": ' + b"[" * 10_000 + b"]" * 10_000 + b"}",
    ],
)
def test_configurations_that_no_sensor_could_read(mine, raw):
    assert is_error(mine.post(f"{mine.path}/configurations", raw=raw), 400, "Bad Request")


def test_a_configuration_may_be_empty_and_comes_back_as_it_was(mine):
    path = f"{mine.path}/configurations"
    assert mine.ask("POST", path).json == {"revision": 0}
    value = {"deep": [[{"ö": -1.5}]], "large": 2**70, "none": None, "text": "\\u0000 ☃"}
    assert mine.post(path, value).json == {"revision": 1}
    assert [each["value"] for each in mine.get(path).json] == [{}, value]


def measure(store, sensor, *rows):
    with store.writing() as connection:
        batch = Batch(measurements=[(sensor, at_us, revision, 0, v) for at_us, revision, v in rows])
        write(connection, batch)


def test_measurements_come_in_pages(mine, store):
    times = [1_700_000_000 * S + number * 333_333 for number in range(150)]
    measure(store, mine.sensor, *((at, 7, {"t": n, "h": 0.5}) for n, at in enumerate(times)))
    path = f"{mine.path}/measurements"
    first = mine.get(path).json
    assert first[1] == {
        "revision": 7,
        "creation_timestamp": times[1] / S,
        "value": {"t": 1.0, "h": 0.5},
    }
    seen = []
    page = first
    while page:
        seen += page
        page = mine.get(f"{path}?creation_timestamp={page[-1]['creation_timestamp']}").json
    assert [each["value"]["t"] for each in seen] == [*range(150)]
    seen = []
    page = mine.get(f"{path}?direction=previous").json
    while page:
        assert len(page) in (64, 150 - 128)
        seen = page + seen
        cursor = page[0]["creation_timestamp"]
        page = mine.get(f"{path}?direction=previous&creation_timestamp={cursor}").json
    assert [each["value"]["t"] for each in seen] == [*range(150)]


def test_a_measurement_without_a_revision(mine, store):
    measure(store, mine.sensor, (S, None, {"t": 1.5}))
    assert mine.get(f"{mine.path}/measurements").json == [
        {"revision": None, "creation_timestamp": 1.0, "value": {"t": 1.5}}
    ]


def test_hourly_averages_of_four_weeks(mine, store):
    hour_us = 3600 * S
    now = people.now_us() // hour_us * hour_us
    before, old = now - 2 * hour_us, now - 29 * 24 * hour_us
    measure(
        store,
        mine.sensor,
        *((now + 1, None, {"t": 1.0}), (now + 2, None, {"t": 2.0, "h": 5.0})),
        *((before, None, {"t": 9.0}), (old, None, {"t": 1.0})),
    )
    assert mine.get(f"{mine.path}/measurements?aggregate=true&direction=previous").json == {
        "t": [
            {"bucket_timestamp": before / S, "average": 9.0},
            {"bucket_timestamp": now / S, "average": 1.5},
        ],
        "h": [{"bucket_timestamp": now / S, "average": 5.0}],
    }
    (activity,) = mine.get(f"/networks/{mine.network}").json
    assert (activity["sensor_identifier"], activity["sensor_name"]) == (str(mine.sensor), "bed-3")
    assert sum(activity["measurements_counts"]) == 3
    assert all(at % (4 * 3600) == 0 for at in activity["bucket_timestamps"])


def write_log(store, sensor):
    rows = [
        (sensor, S, 0, 0, "info", "all well", None, None),
        (sensor, 2 * S, 1, 0, "error", "hot: call them", "hot", "call them"),
        (sensor, 3 * S, None, 0, "warning", "warm", "warm", None),
        (sensor, 4 * S, 2, 0, "error", "hot: call them", "hot", "call them"),
    ]
    with store.writing() as connection:
        write(connection, Batch(logs=rows))


def test_logs(mine, store):
    write_log(store, mine.sensor)
    rows = mine.get(f"{mine.path}/logs").json
    assert [row["message"] for row in rows][:2] == ["all well", "hot: call them"]
    assert rows[0] == {
        **{"severity": "info", "message": "all well"},
        **{"revision": 0, "creation_timestamp": 1.0},
    }
    before = mine.get(f"{mine.path}/logs?direction=previous&creation_timestamp=3").json
    assert [row["creation_timestamp"] for row in before] == [1.0, 2.0]
    assert mine.get(f"{mine.path}/logs?aggregate=true").status == 400
    assert mine.get(f"{mine.path}/logs/aggregates").json == [
        {
            **{"severity": "warning", "message": "warm", "count": 1},
            **{"min_revision": None, "max_revision": None},
            **{"min_creation_timestamp": 3.0, "max_creation_timestamp": 3.0},
        },
        {
            **{"severity": "error", "message": "hot: call them", "count": 2},
            **{"min_revision": 1, "max_revision": 2},
            **{"min_creation_timestamp": 2.0, "max_creation_timestamp": 4.0},
        },
    ]


def test_logs_in_the_flavour_of_hermes(serve, store):
    client = serve(flavour="hermes").begin(store)
    write_log(store, client.sensor)
    rows = client.get(f"{client.path}/logs").json
    assert rows[:2] == [
        {
            **{"severity": "info", "subject": "all well", "details": None},
            **{"revision": 0, "creation_timestamp": 1.0},
        },
        {
            **{"severity": "error", "subject": "hot", "details": "call them"},
            **{"revision": 1, "creation_timestamp": 2.0},
        },
    ]
    aggregates = client.get(f"{client.path}/logs/aggregates").json
    assert [row["subject"] for row in aggregates] == ["warm", "hot"]
    assert "message" not in aggregates[0]
