"""Real Redis and PostgreSQL servers that a test starts, stops, kills and freezes.

Each server has a free port of the loopback interface and a temporary folder of its own; nothing of
the system's own servers is touched. What a test gets:

    redis_server     a Redis that runs and is empty; `.url`, `.client()`
    postgres_server  a PostgreSQL that runs; `.url(database)`, `.connect(database)`
    postgres_url     URL of a new, empty database on it, dropped at the end

A test may stop or kill them: the fixture of the next test starts them again. In `with
server.frozen():` they keep their connections and do not answer; they go on afterwards, whatever
happened. Programs use `with running_redis() as server:` and `with running_postgres() as server:`;
`running_sentinel` and `running_cluster` are for the test that needs them.
"""

import contextlib
import itertools
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg2
import psycopg2.extensions
import pytest
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from tests.helpers import LOOPBACK, eventually, free_tcp_port

START_S = 30.0  # PostgreSQL may have a log to replay
STOP_S = 30.0
ANSWER_S = 30.0  # longest wait of a client
UNPRIVILEGED = ("postgres", "nobody")  # PostgreSQL refuses to run as root


class ServerError(Exception):
    """A server that a test needs did not start; the text has the end of its log."""


class Program:
    """One program that is a server: started, signalled and ended by its process id.

    Args:
        folder: for its log.
        prefix: command of setpriv that starts it as another user.
    """

    def __init__(self, folder: Path, prefix: list[str] | None = None) -> None:
        self.log = folder / "log"
        self._prefix = prefix or []
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def is_running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def start(self, command: list[str]) -> None:
        with self.log.open("ab") as log:
            # It ends with this process, also where that is killed and ends nothing itself.
            as_child = [*(self._prefix or [binary("setpriv")]), "--pdeathsig", "KILL"]
            self._process = subprocess.Popen(
                [*as_child, *command],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self.log.parent,
                start_new_session=True,  # Ctrl-C is for the test, which then stops the server
            )

    def wait_until(self, answers: Callable[[], bool], timeout_s: float = START_S) -> None:
        until_s = time.monotonic() + timeout_s
        while not answers():
            if not self.is_running or time.monotonic() > until_s:
                self.kill()
                raise ServerError("\n".join(self.log.read_text(errors="replace").splitlines()[-9:]))
            time.sleep(0.01)

    def children(self) -> list[int]:
        """Return the process ids of its children; those of PostgreSQL are sessions of their own."""
        found = []
        with contextlib.suppress(OSError):
            for path in Path(f"/proc/{self.pid}/task").glob("*/children"):
                found += [int(pid) for pid in path.read_text().split()]
        return found

    def signal(self, number: int, *, children: bool = False) -> None:
        """Signal it, and its children after it, so that they cannot multiply in between."""
        if not self.is_running:
            return
        os.kill(self.pid, number)
        for child in self.children() if children else ():
            with contextlib.suppress(ProcessLookupError):
                os.kill(child, number)

    def end(self, number: int, timeout_s: float = STOP_S) -> None:
        """Ask it to end, kill it if it does not."""
        if self._process is None:
            return
        self.signal(number)
        self.signal(signal.SIGCONT, children=True)
        try:
            self._process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            self.kill()
        self._process = None

    def kill(self) -> None:
        """Kill it and its children, as a power cut would, and wait until they are gone."""
        if self._process is None:
            return
        children = self.children()
        self.signal(signal.SIGSTOP)  # or it would start another child meanwhile
        children += [pid for pid in self.children() if pid not in children]
        for pid in children:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        if self.is_running:
            os.kill(self.pid, signal.SIGKILL)
        self._process.wait(STOP_S)
        self._process = None
        until_s = time.monotonic() + STOP_S
        while any(is_alive(pid) for pid in children) and time.monotonic() < until_s:
            time.sleep(0.005)


def is_alive(pid: int) -> bool:
    """Tell whether a process runs, or may run again: not one that has ended."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (OSError, IndexError):
        return False
    return state not in "ZX"


class Server:
    """What every server of a test has: a program that it stops, kills and freezes.

    Args:
        folder: for its files and its log.
        prefix: command of setpriv that starts it as another user.
    """

    has_children = False  # processes of its own, which are frozen with it

    def __init__(self, folder: Path, prefix: list[str] | None = None) -> None:
        self.port = free_tcp_port()
        self.folder = folder
        self._program = Program(folder, prefix)

    @property
    def is_running(self) -> bool:
        return self._program.is_running

    @property
    def pid(self) -> int:
        return self._program.pid

    def kill(self) -> None:
        """Kill all its processes with SIGKILL."""
        self._program.kill()

    @contextlib.contextmanager
    def frozen(self) -> Iterator[None]:
        """Let it keep its connections and not answer meanwhile, as behind a network that is cut."""
        self.freeze()
        try:
            yield
        finally:
            self.thaw()

    def freeze(self) -> None:
        """Let it keep its connections and not answer any more; `frozen` ends by itself."""
        self._program.signal(signal.SIGSTOP, children=self.has_children)

    def thaw(self) -> None:
        """Let it go on."""
        self._program.signal(signal.SIGCONT, children=self.has_children)


class RedisServer(Server):
    """A redis-server that keeps nothing on disk.

    Args:
        folder: for its log.
        options: words of its command line, such as "--requirepass", "secret".
    """

    def __init__(self, folder: Path, *options: str) -> None:
        super().__init__(folder)
        self.options = options

    @property
    def url(self) -> str:
        """The URL of its database 0."""
        return f"redis://{LOOPBACK}:{self.port}/0"

    def start(self) -> None:
        """Start it on its port, empty, and return when it answers."""
        if self.is_running:
            return
        fixed = ["--bind", LOOPBACK, "--port", str(self.port), "--save", "", "--appendonly", "no"]
        self._program.start([binary("redis-server"), *fixed, *self.options])
        self._program.wait_until(self._answers)

    def _answers(self) -> bool:
        """Tell whether it answers at all, be it that a password is missing."""
        try:
            with socket.create_connection((LOOPBACK, self.port), timeout=1) as connection:
                connection.sendall(b"PING\r\n")
                answer = connection.recv(100)
        except OSError:
            return False
        return answer[:1] in (b"+", b"-") and b"LOADING" not in answer

    def stop(self) -> None:
        """Stop it as its unit would; what it held is gone."""
        self._program.end(signal.SIGTERM)

    def client(self, **options: object) -> redis.Redis:
        """Return a client that tries once and answers in text; close it, or use it by `with`."""
        once = Retry(NoBackoff(), 0)
        options = {"decode_responses": True, "retry": once, "socket_timeout": ANSWER_S, **options}
        return redis.Redis(host=LOOPBACK, port=self.port, **options)

    def reset(self) -> None:
        """Have it running and empty, with the settings it was started with."""
        self.thaw()
        self.start()
        with self.client() as client:
            client.flushall()


class PostgresServer(Server):
    """A PostgreSQL cluster of its own; the superuser `jph` needs no password.

    Members of the role `needs_password` need theirs: `create_role` makes one.

    Args:
        folder: for the cluster and its log; it is given to the user that PostgreSQL runs as.
        durable: write to the disk as a real server does; without it tests are faster, and nothing
            is lost as long as the machine itself stays up.
        options: words of its command line, such as "-c", "max_connections=20".
    """

    superuser = "jph"
    has_children = True

    def __init__(self, folder: Path, *options: str, durable: bool = False) -> None:
        self._prefix = _as_other_user(folder)
        super().__init__(folder, self._prefix)
        self.options = list(options)
        if not durable:
            self.options += ["-c", "fsync=off", "-c", "full_page_writes=off"]
        self._data = folder / "data"
        self._names = itertools.count(1)

    def limit_files(self, most: str) -> None:
        """Let no file of it grow beyond so many bytes, or `unlimited`."""
        for pid in [self.pid, *self._program.children()] if self.is_running else ():
            # As its user, who may; root may not everywhere.
            command = [binary("prlimit"), f"--fsize={most}:", f"--pid={pid}"]
            subprocess.run([*self._prefix, *command], capture_output=True)

    def create(self, *options: str) -> None:
        """Make the cluster, with further options of initdb."""
        command = [binary("initdb"), "-D", str(self._data), "-U", self.superuser, "-A", "trust"]
        command += ["-E", "UTF8", "--locale=C.UTF-8", "--no-sync", "--no-instructions", *options]
        ended = subprocess.run(
            [*self._prefix, *command], capture_output=True, text=True, cwd=self.folder
        )
        if ended.returncode:
            raise ServerError(ended.stdout + ended.stderr)
        (self._data / "pg_hba.conf").write_text(
            "local all all trust\n"
            f"host all +needs_password {LOOPBACK}/32 scram-sha-256\n"
            f"host all all {LOOPBACK}/32 trust\n"
        )

    def start(self) -> None:
        """Start it on its port and return when it takes connections."""
        if self.is_running:
            return
        command = [binary("postgres"), "-D", str(self._data), "-p", str(self.port)]
        command += ["-h", LOOPBACK, "-k", str(self.folder)]
        self._program.start([*command, *self.options])
        self._program.wait_until(self._answers)

    def _answers(self) -> bool:
        try:
            self.connect(connect_timeout=2).close()
        except psycopg2.OperationalError:
            return False
        return True

    def stop(self, mode: str = "fast") -> None:
        """Stop it: `smart` waits for clients, `fast` ends their sessions, `immediate` crashes."""
        numbers = {"smart": signal.SIGTERM, "fast": signal.SIGINT, "immediate": signal.SIGQUIT}
        self._program.end(numbers[mode])

    def url(self, database: str = "postgres", user: str = superuser) -> str:
        """Return the URL of a database."""
        return f"postgresql://{user}@{LOOPBACK}:{self.port}/{database}"

    def connect(
        self, database: str = "postgres", user: str = superuser, **options: object
    ) -> psycopg2.extensions.connection:
        """Return a psycopg2 connection; close it."""
        options = {"connect_timeout": int(ANSWER_S), **options}
        return psycopg2.connect(
            host=LOOPBACK, port=self.port, dbname=database, user=user, **options
        )

    def execute(self, sql: str, database: str = "postgres", values: object = None) -> list[tuple]:
        """Run one statement outside of a transaction; return its rows, if it has any."""
        with contextlib.closing(self.connect(database)) as connection:
            connection.autocommit = True
            with connection.cursor() as cursor:
                cursor.execute(sql, values)
                return cursor.fetchall() if cursor.description else []

    def create_database(self, owner: str = superuser) -> str:
        """Make an empty database; return its name."""
        name = f"test_{os.getpid()}_{next(self._names)}"
        self.execute(f'CREATE DATABASE {name} OWNER "{owner}" TEMPLATE template0')
        return name

    def drop_database(self, name: str) -> None:
        """Drop a database, whoever uses it."""
        self.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")

    def create_role(self, name: str, password: str) -> None:
        """Make a role that must give this password."""
        if not self.execute("SELECT 1 FROM pg_roles WHERE rolname = 'needs_password'"):
            self.execute("CREATE ROLE needs_password NOLOGIN")
        create = f'CREATE ROLE "{name}" LOGIN PASSWORD %s IN ROLE needs_password'
        self.execute(create, values=(password,))

    def psql(
        self, script: str, database: str = "postgres", user: str = superuser
    ) -> subprocess.CompletedProcess[str]:
        """Run a script by psql, which stops at the first error (exit status 3)."""
        command = [binary("psql"), "-X", "-q", "-v", "ON_ERROR_STOP=1", "-h", LOOPBACK]
        command += ["-p", str(self.port), "-U", user, "-d", database, "-f", "-"]
        return subprocess.run(command, input=script, capture_output=True, text=True, timeout=120)


def binary(name: str) -> str:
    """Return the path of a server's program; Debian keeps those of PostgreSQL by version."""
    versions = Path("/usr/lib/postgresql").glob("*/bin")
    folders = [str(path) for path in sorted(versions, key=lambda path: int(path.parent.name))]
    path = os.pathsep.join([*reversed(folders), os.environ.get("PATH", ""), "/usr/sbin"])
    if found := shutil.which(name, path=path):
        return found
    raise ServerError(f"no {name} on this machine; ./scripts/test installs it")


def _as_other_user(folder: Path) -> list[str]:
    """Return the command that runs a program as another user, who gets the folder."""
    if os.geteuid():
        return []
    for name in UNPRIVILEGED:
        with contextlib.suppress(KeyError):
            user = pwd.getpwnam(name)
            os.chown(folder, user.pw_uid, user.pw_gid)
            ids = [f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}"]
            return [binary("setpriv"), *ids, "--clear-groups"]
    raise ServerError(f"PostgreSQL cannot run as root, and there is no user {UNPRIVILEGED[0]}")


@contextlib.contextmanager
def folder_of(name: str) -> Iterator[Path]:
    # Not below pytest's own folders: these are closed to the user that PostgreSQL runs as.
    with tempfile.TemporaryDirectory(prefix=f"jph-{name}-") as folder:
        yield Path(folder)


@contextlib.contextmanager
def running_redis(*options: str) -> Iterator[RedisServer]:
    """Run a Redis of its own."""
    with folder_of("redis") as folder:
        server = RedisServer(folder, *options)
        server.start()
        try:
            yield server
        finally:
            server.kill()


@contextlib.contextmanager
def running_sentinel(primary_port: int, name: str, *lines: str) -> Iterator[int]:
    """Run a sentinel that watches a primary by a name; return its port.

    Args:
        primary_port: of the loopback interface.
        name: of the primary.
        lines: further ones of its configuration.
    """
    port = free_tcp_port()
    with folder_of("sentinel") as folder:
        config = folder / "sentinel.conf"
        own = [
            f"bind {LOOPBACK}",
            f"port {port}",
            f"sentinel monitor {name} {LOOPBACK} {primary_port} 1",
            f"sentinel down-after-milliseconds {name} 500",
            f"sentinel failover-timeout {name} 2000",
        ]
        config.write_text("".join(f"{line}\n" for line in [*own, *lines]))
        program = Program(folder)
        program.start([binary("redis-server"), str(config), "--sentinel"])
        try:
            program.wait_until(lambda: is_listening(port))
            yield port
        finally:
            program.kill()


def is_listening(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection((LOOPBACK, port), timeout=1):
        return True
    return False


@contextlib.contextmanager
def running_cluster(*options: str, size: int = 3, tls: bool = False) -> Iterator[list[RedisServer]]:
    """Run a cluster of primaries that share the keys; with tls, on further ports, `tls-port`."""
    with contextlib.ExitStack() as stack:
        servers, buses = [], []
        for _ in range(size):
            buses.append(str(free_tcp_port()))
            fixed = ["--cluster-enabled", "yes", "--cluster-port", buses[-1]]
            if tls:
                fixed += ["--tls-cluster", "yes", "--tls-port", str(free_tcp_port())]
            servers.append(stack.enter_context(running_redis(*fixed, *options)))
        clients = [stack.enter_context(server.client()) for server in servers]
        for place, client in enumerate(clients):
            first, end = (16384 * it // size for it in (place, place + 1))
            client.execute_command("CLUSTER", "ADDSLOTSRANGE", first, end - 1)
            client.execute_command("CLUSTER", "MEET", LOOPBACK, servers[0].port, buses[0])
        for client in clients:
            eventually(lambda client=client: client.cluster("info")["cluster_state"] == "ok")
        yield servers


@contextlib.contextmanager
def running_postgres(*options: str, durable: bool = False) -> Iterator[PostgresServer]:
    """Run a PostgreSQL of its own."""
    with folder_of("postgres") as folder:
        server = PostgresServer(folder, *options, durable=durable)
        server.create()
        server.start()
        try:
            yield server
        finally:
            server.thaw()
            server.stop("immediate")


@pytest.fixture(scope="session")
def redis_process() -> Iterator[RedisServer]:
    """Return the Redis that all tests share; use `redis_server`."""
    with running_redis() as server:
        yield server


@pytest.fixture
def redis_server(redis_process: RedisServer) -> Iterator[RedisServer]:
    """Return a Redis that runs and is empty."""
    redis_process.reset()
    yield redis_process
    redis_process.thaw()


@pytest.fixture(scope="session")
def postgres_process() -> Iterator[PostgresServer]:
    """Return the PostgreSQL that all tests share; use `postgres_server`."""
    with running_postgres() as server:
        yield server


@pytest.fixture
def postgres_server(postgres_process: PostgresServer) -> Iterator[PostgresServer]:
    """Return a PostgreSQL that runs."""
    postgres_process.thaw()
    postgres_process.start()
    yield postgres_process
    postgres_process.thaw()


@pytest.fixture
def postgres_database(postgres_server: PostgresServer) -> Iterator[str]:
    """Return the name of a new, empty database, dropped at the end."""
    name = postgres_server.create_database()
    yield name
    postgres_server.thaw()
    postgres_server.start()
    postgres_server.drop_database(name)


@pytest.fixture
def postgres_url(postgres_server: PostgresServer, postgres_database: str) -> str:
    """Return the URL of a new, empty database."""
    return postgres_server.url(postgres_database)
