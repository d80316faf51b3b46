"""The servers that other tests rely on: each of the ways to take them away, and back."""

import contextlib
import shutil
import signal
import subprocess
import sys

import psycopg2
import pytest
import redis

from tests.helpers import eventually
from tests.servers import PostgresServer, RedisServer, is_alive, running_redis
from tests.tools.program import TOP


def test_redis_is_empty_after_each_way_to_end_it(redis_server: RedisServer):
    for end in (redis_server.stop, redis_server.kill):
        with redis_server.client() as client:
            client.set("a", "1")
        end()
        with redis_server.client() as client, pytest.raises(redis.ConnectionError):
            client.ping()
        redis_server.start()
        with redis_server.client() as client:
            assert client.get("a") is None


def test_a_frozen_redis_takes_connections_and_does_not_answer(redis_server: RedisServer):
    with (
        redis_server.frozen(),
        redis_server.client(socket_timeout=0.2) as client,
        pytest.raises(redis.TimeoutError),
    ):
        client.ping()
    with redis_server.client() as client:
        assert client.ping()


KILLED = """
import os, signal
from tests.servers import running_postgres, running_redis
with running_redis() as redis, running_postgres() as postgres, redis.frozen():
    print(redis.pid, redis.folder, postgres.pid, postgres.folder, flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.redis
@pytest.mark.postgres
def test_they_end_with_a_process_that_was_killed():
    command = [sys.executable, "-c", KILLED]
    ended = subprocess.run(command, cwd=TOP, capture_output=True, text=True, timeout=60)
    assert ended.returncode == -signal.SIGKILL, ended.stderr
    redis_pid, redis_folder, postgres_pid, postgres_folder = ended.stdout.split()
    for pid in (redis_pid, postgres_pid):
        eventually(lambda pid=pid: not is_alive(int(pid)))
    for folder in (redis_folder, postgres_folder):
        shutil.rmtree(folder)


def test_redis_takes_options():
    with running_redis("--requirepass", "open sesame") as server:
        with server.client() as client, pytest.raises(redis.AuthenticationError):
            client.ping()
        with server.client(password="open sesame") as client:
            assert client.ping()


@pytest.mark.parametrize("end", ["fast", "immediate", "kill"])
def test_postgres_keeps_what_was_committed(postgres_server: PostgresServer, postgres_database, end):
    postgres_server.execute("CREATE TABLE t AS SELECT 1 AS a", postgres_database)
    if end == "kill":
        postgres_server.kill()
    else:
        postgres_server.stop(end)
    with pytest.raises(psycopg2.OperationalError):
        postgres_server.connect()
    postgres_server.start()
    assert postgres_server.execute("SELECT a FROM t", postgres_database) == [(1,)]


def test_a_frozen_postgres_goes_on_when_it_is_thawed(postgres_server: PostgresServer):
    with contextlib.closing(postgres_server.connect()) as connection:
        with postgres_server.frozen(), pytest.raises(psycopg2.OperationalError):
            postgres_server.connect(connect_timeout=2)
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
            assert cursor.fetchone() == (1,)


def test_a_role_needs_its_password(postgres_server: PostgresServer, postgres_database):
    postgres_server.create_role("guest of it", "o'pen")
    with pytest.raises(psycopg2.OperationalError):
        postgres_server.connect(postgres_database, "guest of it", password="wrong")
    postgres_server.connect(postgres_database, "guest of it", password="o'pen").close()
    postgres_server.execute('DROP ROLE "guest of it"')


def test_psql_stops_at_the_first_error(postgres_server: PostgresServer, postgres_database):
    good = postgres_server.psql("CREATE TABLE t (a int);", postgres_database)
    assert (good.returncode, good.stderr) == (0, "")
    bad = postgres_server.psql("SELECT nothing; SELECT 1;", postgres_database)
    assert bad.returncode == 3
    assert "nothing" in bad.stderr
