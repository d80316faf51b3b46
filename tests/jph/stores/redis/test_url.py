"""What the URL of a state store on Redis may say."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jph.errors import ConfigError
from jph.stores.redis.url import FORMS, RedisAddress, address_of

HERE = ("127.0.0.1", 6379)


@pytest.mark.parametrize(
    "url, address, text",
    [
        ("redis://", RedisAddress("", (HERE,)), "redis://127.0.0.1:6379/0"),
        ("redis://host", RedisAddress("", (("host", 6379),)), "redis://host:6379/0"),
        ("REDIS://host:1/", RedisAddress("", (("host", 1),)), "redis://host:1/0"),
        ("redis://[::1]:7/3", RedisAddress("", (("::1", 7),), database=3), "redis://[::1]:7/3"),
        (
            "redis://me%20too@host/2",
            RedisAddress("", (("host", 6379),), database=2, user="me too"),
            "redis://host:6379/2",
        ),
        ("rediss://host", RedisAddress("", (("host", 6379),), tls=True), "rediss://host:6379/0"),
        (
            "rediss://host?ssl_ca_certs=/etc/ca.crt&ssl_check_hostname=no",
            RedisAddress(
                "",
                (("host", 6379),),
                tls=True,
                options={"ssl_ca_certs": "/etc/ca.crt", "ssl_check_hostname": False},
            ),
            "rediss://host:6379/0",
        ),
        ("unix:///run/r.sock", RedisAddress("unix", path="/run/r.sock"), "unix:///run/r.sock?db=0"),
        (
            "unix://me@/run/r.sock?db=4",
            RedisAddress("unix", path="/run/r.sock", database=4, user="me"),
            "unix:///run/r.sock?db=4",
        ),
        (
            "redis+sentinel://me@a,b:7/main/1",
            RedisAddress(
                "sentinel", (("a", 26379), ("b", 7)), primary="main", database=1, user="me"
            ),
            "redis+sentinel://a:26379,b:7/main/1",
        ),
        (
            "rediss+sentinel://a/main",
            RedisAddress("sentinel", (("a", 26379),), primary="main", tls=True),
            "rediss+sentinel://a:26379/main/0",
        ),
        (
            "redis+cluster://a:1,[::1]",
            RedisAddress("cluster", (("a", 1), ("::1", 6379))),
            "redis+cluster://a:1,[::1]:6379",
        ),
    ],
)
def test_a_url_names_an_address(url, address, text):
    assert address_of(url) == address
    assert str(address) == text


@pytest.mark.parametrize(
    "url, reason",
    [
        ("redis:", "// is missing"),
        ("redis:6379", "// is missing"),
        ("redis://host/one", "number"),
        ("redis://host/1/2", "too long"),
        ("redis://host:x", "Port"),
        ("redis://[host", "IPv6"),
        ("redis://a,b", "one host"),
        ("redis://host/0?db=1", "option db"),
        ("redis://host?ssl_ca_certs=/etc/ca.crt", "option ssl_ca_certs"),
        ("rediss://host?ssl_password=secret", "option ssl_password"),
        ("rediss://host?socket_timeout=x", "socket_timeout"),
        ("unix://host/path", "path is missing"),
        ("unix://", "path is missing"),
        ("unix:///path?db=x", "'db'"),
        ("redis+sentinel://host", "name of the primary"),
        ("redis+sentinel://host/main/x", "number"),
        ("redis+cluster://host/1", "too long"),
    ],
)
def test_another_form_of_url_is_a_mistake_that_says_which_one_is_right(url, reason):
    with pytest.raises(ConfigError) as caught:
        address_of(url)
    kind = url.partition(":")[0].rpartition("+")[2]
    assert FORMS.get(kind, FORMS[""]) in str(caught.value)
    assert reason in str(caught.value)
    assert "secret" not in str(caught.value)


@given(st.sampled_from(["redis", "rediss", "unix", "redis+sentinel", "redis+cluster"]), st.text())
def test_any_text_after_the_scheme_is_an_address_or_a_mistake(scheme, text):
    try:
        address = address_of(f"{scheme}://{text}")
    except ConfigError:
        return
    assert str(address).startswith(scheme)
