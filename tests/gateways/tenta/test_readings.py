import math
from collections import defaultdict
from contextlib import closing

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import delete, insert, select, text

from gateways.store import Store
from gateways.tenta import readings, tables
from gateways.tenta.readings import LogAggregate, LogRow, MeasurementRow
from gateways.tenta.tables import HOUR_US
from gateways.tenta.writing import Batch, Written, known, write
from tests.gateways.tenta.sensors import NETWORK, NOBODY, OTHER, SENSOR, TIME_US, add_sensors

LARGEST = 1.7976931348623157e308
SMALLEST = 5e-324
FIRST_US, LAST_US = readings.FIRST_US, readings.LAST_US


@pytest.fixture
def store(store_url, tmp_path):
    """Return a store with two sensors, of each kind."""
    with closing(Store.open(store_url, tmp_path, steps=tables.STEPS)) as opened:
        with opened.writing() as connection:
            add_sensors(connection, SENSOR, OTHER)
        yield opened


def measured(time_us, revision=None, identifier=SENSOR, **values):
    return identifier, time_us, revision, time_us + 5, values


def write_all(store, *rows):
    with store.writing() as connection:
        return write(connection, Batch(measurements=list(rows)))


def page(store, identifier=SENSOR, **options):
    with store.reading() as connection:
        return readings.measurements(connection, identifier, **options)


def test_measurements_come_back_as_they_were_sent(store):
    rows = [
        measured(TIME_US, 3, temperature=23.1, humidity=0.62),
        measured(TIME_US + 1, None, temperature=-0.0, a=LARGEST, b=SMALLEST),
        measured(TIME_US, 3, OTHER, temperature=1.0),
    ]
    assert write_all(store, *rows) == Written(6, 0, 0, frozenset())
    assert page(store) == [
        MeasurementRow(3, TIME_US, {"temperature": 23.1, "humidity": 0.62}),
        MeasurementRow(None, TIME_US + 1, {"temperature": 0.0, "a": LARGEST, "b": SMALLEST}),
    ]
    assert page(store, OTHER) == [MeasurementRow(3, TIME_US, {"temperature": 1.0})]
    assert page(store, NOBODY) == []


def test_what_is_of_an_unknown_sensor_is_left_out_and_told(store):
    batch = Batch(
        [measured(TIME_US, v=1.0), measured(TIME_US, identifier=NOBODY, v=2.0)],
        [(NOBODY, TIME_US, None, TIME_US, "info", "x", None, None)],
        [(NOBODY, 0, TIME_US, True, TIME_US)],
    )
    with store.writing() as connection:
        assert write(connection, batch) == Written(1, 0, 0, frozenset({NOBODY}))
        assert known(connection, [SENSOR, NOBODY, OTHER]).keys() == {SENSOR, OTHER}
        assert known(connection, []) == {}


def test_duplicates_are_kept_and_the_last_is_shown(store):
    write_all(store, measured(TIME_US, v=1.0), measured(TIME_US, v=2.0))
    write_all(store, measured(TIME_US, v=3.0), measured(TIME_US, 1, v=4.0))
    with store.reading() as connection:
        assert connection.scalar(text("SELECT count(*) FROM measurement")) == 4
    for direction in ("next", "previous"):
        rows = page(store, direction=direction)
        assert sorted(rows, key=str) == [
            MeasurementRow(1, TIME_US, {"v": 4.0}),
            MeasurementRow(None, TIME_US, {"v": rows[rows[0].revision is not None].value["v"]}),
        ]


def test_pages_go_through_all_of_it_in_both_directions(store):
    times = [TIME_US + n * n for n in range(200)]
    names = "abcdefghi"
    write_all(
        store,
        *(
            measured(time_us, n % 3, **{name: float(n) for name in names[: 1 + n % 9]})
            for n, time_us in enumerate(times)
        ),
    )
    for direction, expected in (("next", times), ("previous", times[::-1])):
        found, cursor = [], None
        while rows := page(store, direction=direction, creation_us=cursor):
            assert [row.creation_us for row in rows] == sorted(row.creation_us for row in rows)
            assert len(rows) == min(64, len(times) - len(found))
            rows = rows if direction == "next" else rows[::-1]
            found += rows
            cursor = rows[-1].creation_us
        assert [row.creation_us for row in found] == expected
        assert all(len(row.value) == 1 + row.value["a"] % 9 for row in found)


def test_very_many_points_of_one_time_are_one_measurement(store):
    many = {f"a{n}": float(n) for n in range(3000)}
    write_all(store, measured(TIME_US, **many), measured(TIME_US + 1, v=1.0))
    assert page(store) == [
        MeasurementRow(None, TIME_US, many),
        MeasurementRow(None, TIME_US + 1, {"v": 1.0}),
    ]


@pytest.mark.parametrize("time_us", [FIRST_US, -1, 0, LAST_US])
def test_times_at_the_edges(store, time_us):
    write_all(store, measured(time_us, v=1.0))
    row = MeasurementRow(None, time_us, {"v": 1.0})
    assert page(store) == page(store, direction="previous") == [row]
    assert page(store, creation_us=time_us) == []
    assert page(store, creation_us=-(10**30)) == [row]
    assert page(store, creation_us=10**30, direction="previous") == [row]


times = st.integers(0, 3).map(lambda n: TIME_US + n) | st.integers(FIRST_US, LAST_US)
numbers = st.floats(allow_nan=False, allow_infinity=False)
sent = st.lists(
    st.builds(
        lambda time_us, revision, values: measured(time_us, revision, **values),
        times,
        st.none() | st.integers(0, 2**31 - 1),
        st.dictionaries(st.sampled_from("abc"), numbers),
    ),
    max_size=12,
)


@settings(max_examples=40)
@given(batches=st.lists(sent, max_size=3), cursor=st.none() | times)
def test_whatever_is_sent_is_read_as_by_hand(store, batches, cursor):
    with store.writing() as connection:
        for table in ("measurement", "measurement_1_hour"):
            connection.execute(text(f"DELETE FROM {table}"))
        for batch in batches:
            write(connection, Batch(measurements=batch))
    groups = defaultdict(dict)
    hours = defaultdict(list)
    for _, time_us, revision, _, values in (row for batch in batches for row in batch):
        if values:
            groups[time_us, revision].update(values)
        for name, value in values.items():
            hours[name, time_us // HOUR_US].append(value)
    expected = [MeasurementRow(key[1], key[0], values) for key, values in groups.items()]

    def order(rows):
        return sorted(rows, key=lambda row: (row.creation_us, row.revision is None, row.revision))

    after = [row for row in expected if cursor is None or row.creation_us > cursor]
    before = [row for row in expected if cursor is None or row.creation_us < cursor]
    if store.dialect == "sqlite":  # the order of equal ones is only kept there
        assert order(page(store, creation_us=cursor)) == order(after)
        assert order(page(store, creation_us=cursor, direction="previous")) == order(before)
    else:
        keys = [row[:2] for row in order(page(store, creation_us=cursor))]
        assert keys == [row[:2] for row in order(after)]
    with store.reading() as connection:
        found = readings.averages(connection, SENSOR, FIRST_US - HOUR_US)
    averages = {(name, at // HOUR_US): mean for name in found for at, mean in found[name]}
    for key, values in hours.items():
        if sum(map(abs, values)) < 8e307:
            rounding = max(map(abs, values)) * 1e-14
            mean = math.fsum(values) / len(values)
            assert math.isclose(averages[key], mean, abs_tol=rounding)
        else:
            assert math.isfinite(averages.get(key, 0.0))


def test_averages_are_kept_up_to_date(store):
    hour_us = TIME_US // HOUR_US * HOUR_US
    write_all(store, measured(hour_us, v=1.0), measured(hour_us + HOUR_US - 1, v=2.0, w=9.0))
    write_all(store, measured(hour_us + 5, v=6.0), measured(hour_us + HOUR_US, v=10.0))
    with store.reading() as connection:
        assert readings.averages(connection, SENSOR, hour_us - 1) == {
            "v": [(hour_us, 3.0), (hour_us + HOUR_US, 10.0)],
            "w": [(hour_us, 9.0)],
        }
        late = {"v": [(hour_us + HOUR_US, 10.0)]}
        assert readings.averages(connection, SENSOR, hour_us) == late
        assert readings.averages(connection, SENSOR, hour_us + 1) == late
        assert readings.averages(connection, OTHER, 0) == {}
        assert readings.averages(connection, NOBODY, 0) == {}


def test_an_hour_whose_sum_no_double_holds_has_no_average(store):
    for value in (LARGEST, LARGEST, -LARGEST, -LARGEST, SMALLEST):
        write_all(store, measured(TIME_US, v=value, w=SMALLEST))
    write_all(store, measured(TIME_US, v=LARGEST), measured(TIME_US, v=LARGEST))
    with store.reading() as connection:
        assert list(readings.averages(connection, SENSOR, 0)) == ["w"]
    assert len(page(store)) == 1


def test_the_latest_values(store):
    write_all(store, measured(TIME_US, a=1.0, b=2.0), measured(TIME_US + 9, a=3.0))
    with store.reading() as connection:
        assert readings.latest(connection, SENSOR) == {
            "a": (3.0, TIME_US + 9),
            "b": (2.0, TIME_US),
        }
        assert readings.latest(connection, OTHER) == {}


def test_values_that_another_program_left_and_json_has_not_are_not_shown(postgres_url, tmp_path):
    with closing(Store.open(postgres_url, tmp_path, steps=tables.STEPS)) as store:
        with store.writing() as connection:
            add_sensors(connection, SENSOR)
            write(connection, Batch([measured(TIME_US, v=1.0)]))
            connection.execute(text("UPDATE measurement SET value = 'NaN'"))
        assert page(store) == [MeasurementRow(None, TIME_US, {})]


def line(time_us, severity, message, revision=None, subject=None, details=None):
    return SENSOR, time_us, revision, time_us + 1, severity, message, subject, details


def test_lines_of_a_log_are_read_in_pages(store):
    lines = [line(TIME_US + n, "info", f"message {n}\0\ud800", n) for n in range(100)]
    lines.append(line(TIME_US + 100, "error", "cpu", None, "cpu", "is burning"))
    with store.writing() as connection:
        assert write(connection, Batch(logs=lines)).logs == 101
    with store.reading() as connection:
        first = readings.logs(connection, SENSOR)
        assert [row.creation_us - TIME_US for row in first] == list(range(64))
        assert first[1] == LogRow("info", "message 1\u2400?", 1, TIME_US + 1, None, None)
        rest = readings.logs(connection, SENSOR, creation_us=first[-1].creation_us)
        assert rest[-1] == LogRow("error", "cpu", None, TIME_US + 100, "cpu", "is burning")
        assert len(rest) == 37
        before = readings.logs(connection, SENSOR, direction="previous", creation_us=TIME_US + 90)
        assert [row.creation_us - TIME_US for row in before] == list(range(26, 90))
        assert readings.logs(connection, OTHER) == readings.logs(connection, NOBODY) == []


def test_equal_warnings_and_errors_are_told_together(store):
    lines = [
        line(TIME_US + 5, "error", "burning: a", 7, "burning", "a"),
        line(TIME_US + 1, "error", "burning: b", 9, "burning", "b"),
        line(TIME_US + 3, "error", "burning: a", None, "burning", "a"),
        line(TIME_US + 2, "warning", "warm", 1),
        line(TIME_US + 4, "warning", "warm", 2),
        line(TIME_US + 6, "info", "fine", 2),
    ]
    with store.writing() as connection:
        write(connection, Batch(logs=lines))
    with store.reading() as connection:
        assert readings.log_aggregates(connection, SENSOR) == [
            LogAggregate("error", "burning: b", 9, 9, TIME_US + 1, TIME_US + 1, 1),
            LogAggregate("warning", "warm", 1, 2, TIME_US + 2, TIME_US + 4, 2),
            LogAggregate("error", "burning: a", None, 7, TIME_US + 3, TIME_US + 5, 2),
        ]
        assert readings.log_aggregates(connection, SENSOR, by_subject=True) == [
            LogAggregate("warning", "warm", 1, 2, TIME_US + 2, TIME_US + 4, 2),
            LogAggregate("error", "burning", 9, 7, TIME_US + 1, TIME_US + 5, 3),
        ]


def test_the_first_acknowledgment_of_a_revision_counts(store):
    columns = {"sensor_identifier": SENSOR, "value": {"a": 1}, "creation_timestamp": TIME_US}
    with store.writing() as connection:
        for revision in (0, 1):
            connection.execute(insert(tables.configuration), {**columns, "revision": revision})
        acknowledgments = [
            (SENSOR, 1, TIME_US + 1, False, TIME_US + 2),
            (SENSOR, 1, TIME_US + 3, True, TIME_US + 4),
            (SENSOR, 5, TIME_US, True, TIME_US),
            (OTHER, 0, TIME_US, True, TIME_US),
        ]
        write(connection, Batch(acknowledgments=acknowledgments))
        write(connection, Batch(acknowledgments=acknowledgments[1:2]))
        rows = connection.execute(select(tables.configuration).order_by("revision")).all()
    assert [(row.acknowledgment_timestamp, row.receipt_timestamp, row.success) for row in rows] == [
        (None, None, None),
        (TIME_US + 1, TIME_US + 2, False),
    ]


def test_with_a_sensor_goes_what_it_sent(store):
    write_all(store, measured(TIME_US, v=1.0))
    with store.writing() as connection:
        connection.execute(delete(tables.network).where(tables.network.c.identifier == NETWORK))
        for table in ("sensor", "measurement", "measurement_1_hour"):
            assert connection.scalar(text(f"SELECT count(*) FROM {table}")) == 0
        add_sensors(connection, SENSOR)
    assert page(store) == []
