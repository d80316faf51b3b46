"""Last states in a Redis over TLS or a socket of its own, behind sentinels, and in a cluster."""

import logging
import re
import subprocess
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
import redis
from redis.cluster import RedisCluster

from jph.bus.wire import Control
from jph.errors import StoreError
from tests.helpers import LOOPBACK, eventually, free_tcp_port
from tests.jph.stores.kept import KeptStates
from tests.jph.stores.redis.watching import watched
from tests.servers import running_cluster, running_redis, running_sentinel

DOCUMENT = Path(__file__).parents[4] / "docs" / "configuration.md"
COMPLETE_S = 20.0  # from the return of Redis to the complete state; 5 s if nobody is busy
# Some for each of three servers.
MANY = [f"{letter}{digit}" for letter in "ABC" for digit in range(10)]


def rights(which: str) -> list[str]:
    return re.search(rf"{which} needs `(.*?)`", DOCUMENT.read_text())[1].split()


# TLS


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    """Return the folder of a key and a certificate that is its own CA."""
    folder = tmp_path_factory.mktemp("tls")
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"),
            *("-keyout", folder / "key", "-out", folder / "crt", "-subj", "/CN=localhost"),
            *("-addext", "subjectAltName=DNS:localhost"),
        ],
        check=True,
        capture_output=True,
    )
    return folder


def tls_files(folder):
    return {
        "tls-cert-file": folder / "crt",
        "tls-key-file": folder / "key",
        "tls-ca-cert-file": folder / "crt",
    }


def tls_options(folder):
    return [word for name, path in tls_files(folder).items() for word in (f"--{name}", str(path))]


@contextmanager
def running_with_tls(folder, *options):
    port = free_tcp_port()
    with running_redis(*tls_options(folder), "--tls-port", str(port), *options) as server:
        yield server, f"rediss://localhost:{port}/0"


def test_a_server_is_reached_with_tls_by_the_file_of_its_ca(certificate):
    with running_with_tls(certificate, "--tls-auth-clients", "no") as (server, url):
        with watched(f"{url}?ssl_ca_certs={certificate}/crt") as cache, server.client() as client:
            cache.hear("C1")
            eventually(lambda: client.exists("C1"), what=str(cache.faults))
            assert set(cache.store.recall()) == {"C1"}
            assert cache.faults == []
        for mistaken, words in (
            (url, "ssl_ca_certs"),
            (f"{url.replace('localhost', LOOPBACK)}?ssl_ca_certs={certificate}/crt", "mismatch"),
            (f"{url}?ssl_ca_certs=/nowhere", "is not there"),
        ):
            with watched(mistaken) as cache:
                assert words in cache.await_fault(LOOPBACK if "mismatch" in words else "localhost")


def test_a_server_may_want_a_certificate_of_who_connects(certificate):
    with running_with_tls(certificate) as (server, url):
        own = f"{url}?ssl_ca_certs={certificate}/crt"
        with watched(own) as cache:
            cache.await_fault("localhost")
        own += f"&ssl_certfile={certificate}/crt&ssl_keyfile={certificate}/key"
        with watched(own) as cache, server.client() as client:
            cache.hear("C1")
            eventually(lambda: client.exists("C1"), what=str(cache.faults))


def test_sentinels_and_their_primary_are_reached_with_tls(certificate):
    port = free_tcp_port()
    lines = [f"{name} {path}" for name, path in tls_files(certificate).items()]
    lines += [f"tls-port {port}", "tls-auth-clients no", "tls-replication yes"]
    with (
        running_with_tls(certificate, "--tls-auth-clients", "no") as (server, url),
        server.client() as client,
        running_sentinel(int(url.split(":")[2].removesuffix("/0")), "main", *lines),
    ):
        options = f"ssl_ca_certs={certificate}/crt&ssl_check_hostname=no"
        with watched(f"rediss+sentinel://localhost:{port}/main?{options}") as cache:
            cache.hear("C1")
            eventually(lambda: client.exists("C1"), what=str(cache.faults))


def test_a_cluster_is_reached_with_tls(certificate):
    options = [*tls_options(certificate), "--tls-auth-clients", "no"]
    with (
        running_cluster(*options, tls=True) as servers,
        cluster_client(servers) as client,
        servers[0].client() as one,
    ):
        port = one.config_get("tls-port")["tls-port"]
        options = f"ssl_ca_certs={certificate}/crt&ssl_check_hostname=no"
        with watched(f"rediss+cluster://localhost:{port}?{options}") as cache:
            cache.hear(*MANY)
            eventually(lambda: are_there(client), what=str(cache.faults))
            assert set(cache.store.recall()) == set(MANY)


# A socket of its own


def test_a_server_is_reached_by_its_socket(tmp_path):
    file = tmp_path / "password"
    file.write_text("secret")
    with running_redis("--unixsocket", f"{tmp_path}/socket") as server, server.client() as client:
        client.execute_command("ACL", "SETUSER", "cache", "on", ">secret", *rights("rights"))
        with (
            watched(f"unix://cache@{tmp_path}/socket?db=2", file) as cache,
            server.client(db=2) as stored,
        ):
            cache.hear("C1")
            eventually(lambda: stored.exists("C1"), what=str(cache.faults))
            server.kill()
            cache.await_fault("is redis-server running?")
            server.start()
            client.execute_command("ACL", "SETUSER", "cache", "on", ">secret", *rights("rights"))
            eventually(lambda: stored.exists("C1"), COMPLETE_S)
            cache.await_recovery()


# Sentinels


def test_after_a_failover_the_new_primary_has_the_complete_state(caplog):
    with (
        running_redis() as primary,
        running_redis("--replicaof", f"{LOOPBACK} {primary.port}") as replica,
        replica.client() as client,
    ):
        eventually(lambda: client.info("replication")["master_link_status"] == "up")
        with running_sentinel(primary.port, "main") as port:
            url = f"redis+sentinel://{LOOPBACK}:{free_tcp_port()},{LOOPBACK}:{port}/main/0"
            with watched(url) as cache:
                cache.hear("C1", "C2")
                eventually(lambda: client.exists("C1", "C2") == 2, what=str(cache.faults))
                with redis.Redis(LOOPBACK, port, decode_responses=True) as sentinel:
                    eventually(lambda: sentinel.sentinel_masters()["main"]["num-slaves"] == 1)
                client.config_set("replica-read-only", "no")
                client.delete("C1")  # as if it had not reached the replica
                primary.kill()
                cache.await_fault(str(port))
                cache.hear("C2", "C3", value=2.0)
                eventually(lambda: client.info("replication")["role"] == "master")
                eventually(lambda: client.exists("C1", "C2", "C3") == 3, COMPLETE_S)
                cache.await_recovery()
                assert client.hget("C2", "Value") == "2.0"
                assert set(cache.store.recall()) == {"C1", "C2", "C3"}
    errors = [it.getMessage() for it in caplog.records if it.levelno == logging.ERROR]
    assert len(errors) == 1


def test_a_primary_that_the_sentinels_do_not_know_is_said():
    with (
        running_redis() as primary,
        running_sentinel(primary.port, "main") as port,
        watched(f"redis+sentinel://{LOOPBACK}:{port}/other") as cache,
    ):
        cache.await_fault("no sentinel answers that knows a primary other")


# A cluster


@pytest.fixture(scope="module")
def cluster():
    with running_cluster() as servers:
        yield servers


@contextmanager
def cluster_client(servers):
    """Return a client of an empty cluster."""
    with closing(RedisCluster(LOOPBACK, servers[0].port, decode_responses=True)) as client:
        client.flushall(target_nodes=RedisCluster.PRIMARIES)
        yield client


def url_of(servers):
    return "redis+cluster://" + ",".join(f"{LOOPBACK}:{server.port}" for server in servers[:2])


def are_there(client):
    return {codifier for codifier in MANY if client.exists(codifier)} == set(MANY)


def test_a_cluster_has_the_states_on_all_of_its_servers(cluster):
    with cluster_client(cluster) as client, watched(url_of(cluster)) as cache:
        cache.hear(*MANY)
        eventually(lambda: are_there(client), what=str(cache.faults))
        for server in cluster:
            with server.client() as one:
                assert one.dbsize() > 1
        eventually(lambda: client.exists("jph:state"))
        assert set(cache.store.recall()) == set(MANY)
        client.set("ab", "text")
        cache.hear("C1", value=2.0)
        eventually(lambda: client.hget("C1", "Value") == "2.0")
        assert set(cache.store.recall()) == set(MANY)
        client.flushall(target_nodes=RedisCluster.PRIMARIES)
        eventually(lambda: are_there(client), COMPLETE_S)
        assert cache.faults == []


def test_one_of_its_servers_that_returns_empty_gets_its_states_again(cluster):
    with cluster_client(cluster) as client, watched(url_of(cluster)) as cache:
        cache.hear(*MANY)
        eventually(lambda: are_there(client), what=str(cache.faults))
        cluster[0].kill()
        cache.await_fault("is redis-server running?")
        with pytest.raises(StoreError, match="redis-server"):
            cache.store.recall()
        cluster[0].start()
        with cluster[0].client() as one:
            eventually(lambda: one.cluster("info")["cluster_state"] == "ok")
        cache.await_recovery()
        assert are_there(client)


def test_one_of_its_servers_that_does_not_answer_is_told_soon(cluster):
    with cluster_client(cluster) as client, watched(url_of(cluster)) as cache:
        cache.hear(*MANY)
        eventually(lambda: are_there(client), what=str(cache.faults))
        with cluster[2].frozen():
            cache.hear(*MANY, value=2.0)
            cache.await_fault("no answer within 2 s")
        eventually(lambda: all(client.hget(it, "Value") == "2.0" for it in MANY), COMPLETE_S)
        cache.await_recovery()


def test_keys_that_move_to_another_server_are_followed(cluster):
    with cluster_client(cluster) as client:
        slot, old = client.keyslot("C1"), client.get_node_from_key("C1")
        new = next(node for node in client.get_primaries() if node != old)
        old_id, new_id = (client.cluster_myid(node) for node in (old, new))

        def set_slot(target, *words):
            client.execute_command("CLUSTER SETSLOT", slot, *words, target_nodes=target)

        with watched(url_of(cluster)) as cache:
            cache.hear(*MANY)
            eventually(lambda: are_there(client), what=str(cache.faults))
            set_slot(new, "IMPORTING", old_id)
            set_slot(old, "MIGRATING", new_id)
            client.execute_command("MIGRATE", new.host, new.port, "C1", 0, 5000, target_nodes=old)
            cache.hear("C1", value=2.0)  # of a slot that two servers have
            eventually(lambda: client.hget("C1", "Value") == "2.0")
            for target in (new, old):
                set_slot(target, "NODE", new_id)
            cache.hear("C1", value=3.0)
            eventually(lambda: client.hget("C1", "Value") == "3.0")
            assert cache.faults == []
        client.flushall(target_nodes=RedisCluster.PRIMARIES)
        for target in client.get_primaries():
            set_slot(target, "NODE", old_id)


def test_a_user_of_a_cluster_with_the_documented_rights_can_all_that_is_done(cluster, tmp_path):
    file = tmp_path / "password"
    file.write_text("secret")
    for server in cluster:
        with server.client() as one:
            one.execute_command(
                *("ACL", "SETUSER", "cache", "on", ">secret"), *rights("rights"), *rights("cluster")
            )
    url = url_of(cluster).replace("//", "//cache@")
    with cluster_client(cluster) as client, watched(url, file) as cache:
        cache.hear(*MANY)
        cache.store.on_control(Control(1, 1100, "T", "C1", "WB", float("nan"), True), 1200, {})
        eventually(lambda: are_there(client), what=str(cache.faults))
        assert set(cache.store.recall()) == set(MANY)
        assert cache.faults == []


def test_a_cluster_and_a_single_server_are_told_apart(cluster, redis_server):
    with watched(redis_server.url.replace("redis:", "redis+cluster:").removesuffix("/0")) as cache:
        cache.await_fault("it is no cluster")
    with watched(f"redis://{LOOPBACK}:{cluster[0].port}") as cache:
        cache.hear(*MANY)
        cache.await_fault("redis+cluster://")


def test_a_url_alone_reaches_nobody():
    for url in ("unix:///nothing", "redis+cluster://nobody.invalid", "redis+sentinel://x/main"):
        with closing(KeptStates(url)) as store:
            assert store.get("C1") is None
