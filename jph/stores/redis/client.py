"""A client of redis-py for a state store, and its errors in plain words.

It tries everything once, since the store itself tries again, and reports a broken connection: the
store then writes again all that the server may have lost.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from redis import Redis, exceptions
from redis.backoff import NoBackoff
from redis.cluster import ClusterNode, RedisCluster
from redis.retry import Retry
from redis.sentinel import Sentinel

from jph.errors import StoreError
from jph.files import password_in
from jph.stores.redis.refusals import TIMEOUT_S, RedisFault, fault_of
from jph.stores.redis.url import RedisAddress

SENTINEL_TIMEOUT_S = 0.5  # then the next one is asked
READ_AT_ONCE = 1000  # keys

Command = Sequence[Any]  # name, key, and words: texts and numbers
_ERRORS = (exceptions.RedisError, exceptions.RedisClusterException, OSError, ValueError)


class RedisClient:
    """The requests of a state store to a Redis, with one connection to each of its servers.

    Raises:
        RedisFault: the server refuses or does not answer; so do all methods.
    """

    def __init__(self, address: RedisAddress, password_file: Path | None) -> None:
        self._address = address
        try:
            self._password = password_in(password_file) if password_file else None
        except StoreError as error:
            raise RedisFault(f"{address}: {error}") from error
        self._reached: set[object] | None = None  # servers; None while redis-py explores a cluster
        with self._plain_words():
            self._client = self._opened()
        self._reached = set()

    def _opened(self) -> Any:
        address = self._address
        tls = {"ssl": True, **address.options} if address.tls else {}
        options: dict[str, Any] = {
            "username": address.user or None,
            "password": self._password,
            "socket_timeout": TIMEOUT_S,
            "socket_connect_timeout": TIMEOUT_S,
            "redis_connect_func": self._on_connect,
            **tls,
        }
        once = Retry(NoBackoff(), 0)
        if address.kind == "cluster":
            nodes = [ClusterNode(host, port) for host, port in address.hosts]
            # A key that has moved updates the place of this key alone: exploring the whole cluster
            # again would close connections.
            return RedisCluster(startup_nodes=nodes, retry=once, reinitialize_steps=0, **options)
        options |= {"db": address.database, "retry": once}
        if address.kind == "unix":
            return Redis(unix_socket_path=address.path, **options)
        if address.kind == "sentinel":
            asking = {"socket_timeout": SENTINEL_TIMEOUT_S, "retry": once, **tls}
            return Sentinel(address.hosts, 0, asking).master_for(address.primary, **options)
        ((host, port),) = address.hosts
        return Redis(host, port, **options)

    def _on_connect(self, connection: Any) -> None:
        """Sign in; refuse a second connection, which redis-py would open silently."""
        server = None
        if self._address.kind == "cluster":  # redis-py signs in by itself
            server = connection.host, connection.port
        else:
            connection.on_connect()
        if self._reached is not None:
            if server in self._reached:
                raise exceptions.ConnectionError("it closed the connection")
            self._reached.add(server)
        with suppress(exceptions.NoPermissionError):
            connection.send_command("CLIENT", "SETNAME", "jph")
            connection.read_response()

    def exchange(self, commands: Sequence[Command]) -> list[Any]:
        """Send commands together; return their replies, with a RedisFault for each refusal."""
        with self._plain_words():
            if isinstance(self._client, RedisCluster):
                replies = self._exchange_with_cluster(self._client, commands)
            else:
                replies = _exchange(self._client, commands)
        return [self._fault(it) if isinstance(it, Exception) else it for it in replies]

    def _exchange_with_cluster(
        self, cluster: RedisCluster, commands: Sequence[Command]
    ) -> list[Any]:
        """Send each server its commands together.

        If a server does not answer, the pipelines of redis-py for a cluster would try each command
        again, one after the other and 2 s each.
        """
        places: defaultdict[str, list[int]] = defaultdict(list)  # by the name of their server
        for place, (_, key, *_) in enumerate(commands):
            places[cluster.get_node_from_key(key).name].append(place)
        replies: list[Any] = [None] * len(commands)
        for name, its in places.items():
            server = cluster.get_redis_connection(cluster.get_node(node_name=name))
            found = _exchange(server, [commands[it] for it in its])
            for place, reply in zip(its, found, strict=True):
                if isinstance(reply, exceptions.AskError):  # the key is moving, or has moved
                    reply = cluster.execute_command(*commands[place])
                replies[place] = reply
        return replies

    def keys(self, pattern: str) -> set[bytes]:
        """Return the keys of all servers that match."""
        with self._plain_words():
            return set(self._client.scan_iter(match=pattern, count=READ_AT_ONCE))

    def close(self) -> None:
        """Close all connections."""
        with suppress(*_ERRORS):
            self._client.close()

    @contextmanager
    def _plain_words(self) -> Iterator[None]:
        try:
            yield
        except _ERRORS as error:
            raise self._fault(error) from error

    def _fault(self, error: BaseException) -> RedisFault:
        return fault_of(error, self._address, has_password=self._password is not None)


def _exchange(server: Redis, commands: Sequence[Command]) -> list[Any]:
    """Send commands as a pipeline of redis-py does, an eighth faster (bench/state.py)."""
    connection = server.connection_pool.get_connection()
    try:
        connection.send_packed_command(connection.pack_commands(commands))
        return [_reply(server, connection, command[0]) for command in commands]
    finally:
        server.connection_pool.release(connection)


def _reply(server: Redis, connection: Any, name: str) -> Any:
    try:
        return server.parse_response(connection, name)
    except exceptions.ResponseError as error:
        return error
