"""A process that writes is killed: what it was told is stored is stored, whole and once."""

import signal
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import text

from gateways.store import Store
from gateways.tenta import tables
from tests.gateways.tenta.sensors import SENSOR, TIME_US, add_sensors

TOP = Path(__file__).resolve().parents[2]
WRITER = """
import sys
from pathlib import Path
from uuid import UUID
from sqlalchemy import text
from gateways.store import Store
from gateways.tenta import tables
from gateways.tenta.writing import Batch, write

store = Store.open(sys.argv[1], Path(sys.argv[2]), steps=tables.STEPS)
sensor, first_us = UUID(sys.argv[3]), int(sys.argv[4])
with store.reading() as connection:
    number = connection.scalar(text("SELECT count(*) FROM measurement")) // 20
while True:
    rows = [(sensor, first_us + number * 10 + n, None, 0, {"a": 1.0, "b": 2.0}) for n in range(10)]
    with store.writing() as connection:
        write(connection, Batch(measurements=rows))
    number += 1
    print(number, flush=True)
"""
KILLS = 4
LEAST = 5  # batches before each


@pytest.mark.slow
def test_what_was_committed_outlives_a_kill(store_url, tmp_path):
    with closing(Store.open(store_url, tmp_path, steps=tables.STEPS)) as store:
        with store.writing() as connection:
            add_sensors(connection, SENSOR)
        for _ in range(KILLS):
            arguments = [store_url, str(tmp_path), str(SENSOR), str(TIME_US)]
            command = [sys.executable, "-c", WRITER, *arguments]
            with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=TOP) as writer:
                assert writer.stdout is not None
                told = [writer.stdout.readline() for _ in range(LEAST)]
                writer.send_signal(signal.SIGKILL)
                told += writer.stdout.read().splitlines()
            known = int(told[-1])
            with store.reading() as connection:
                points, distinct = connection.execute(
                    text("SELECT count(*), count(DISTINCT creation_timestamp) FROM measurement")
                ).one()
                summed = connection.scalar(text("SELECT sum(count) FROM measurement_1_hour"))
            # One batch may have been committed without a word.
            assert points in (known * 20, (known + 1) * 20)
            assert distinct == points // 2 and summed == points
