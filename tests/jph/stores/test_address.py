from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

from jph.config.model import build
from jph.errors import ConfigError
from jph.stores.address import Sql, StoreAddress, address_of, history_address, writer_address
from tests.helpers import new_bus

SQL = {"Database": "jph", "User": "jph", "Password": "/etc/jph/password", "Host": "192.0.2.40"}


def config(*sensors):
    return build(new_bus().document(*sensors))


def test_an_sql_block_is_a_database_of_postgresql():
    found = writer_address({"SQL": SQL, "__comment": "as it was"})
    assert found == StoreAddress("postgresql://jph@192.0.2.40:5432/jph", Path("/etc/jph/password"))


def test_a_block_that_names_little_is_on_this_machine():
    found = writer_address({"SQL": {"Database": "d", "User": "u", "Host": None}})
    assert found == StoreAddress("postgresql://u@localhost:5432/d")


@pytest.mark.parametrize("name", ["a b", "a@b", "a/b", "a:b", "a?b", "ü", "%41"])
def test_any_name_stays_itself_in_the_url(name):
    parts = urlsplit(Sql(database=name, user=name, host="::1", port=5433).url)
    assert unquote(parts.path[1:]) == name
    assert unquote(parts.username) == name
    assert (parts.hostname, parts.port, parts.password) == ("::1", 5433, None)


def test_a_url_goes_before_the_block_which_may_still_have_the_password():
    found = writer_address({"URL": "postgresql://h/d", "SQL": SQL})
    assert found == StoreAddress("postgresql://h/d", Path("/etc/jph/password"))
    found = writer_address({"URL": "postgresql://h/d", "SQL": SQL, "PasswordFile": "/p"})
    assert found.password_file == Path("/p")


def test_a_writer_that_names_nothing_writes_sqlite():
    assert writer_address({}) == StoreAddress("sqlite:///history.sqlite")
    assert address_of(None, None) is None


@pytest.mark.parametrize("sql", ["text", {"User": "u"}, {**SQL, "Port": 0}, {**SQL, "Port": "x"}])
def test_a_block_that_cannot_be_is_a_mistake_with_its_path(sql):
    with pytest.raises(ConfigError, match=r"Sensors\[3\]\.Sensor\.SQL"):
        writer_address({"SQL": sql}, "Sensors[3].Sensor")


def test_readers_take_their_own_else_that_of_the_first_writer():
    writer = {"Codifier": "P1", "Type": "jphPostgreSQL", "Sensor": {"SQL": SQL}}
    other = {"Codifier": "P2", "Type": "HistoryWriter"}
    assert history_address(config(writer, other)).url == "postgresql://jph@192.0.2.40:5432/jph"
    assert history_address(config(other, writer)) == StoreAddress("sqlite:///history.sqlite")
    assert history_address(config(writer), StoreAddress("sqlite:///own")) == StoreAddress(
        "sqlite:///own"
    )
    assert history_address(config()) is None
