"""Users and passwords for web servers: the examples of the RFCs, and servers that check them."""

import hashlib
from base64 import b64encode
from urllib.request import parse_http_list, parse_keqv_list

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jph import http
from jph.http_auth import SignIn
from tests.http_server import says

USER, PASSWORD = 'Jäger "J"', "Circle: of \\ Life"


def test_the_example_of_basic_authentication_in_its_rfc():
    sign_in = SignIn("Aladdin", "open sesame")
    assert sign_in.header("GET", "/") is None  # nothing is sent unasked
    assert sign_in.take(['Basic realm="WallyWorld"'])
    assert sign_in.header("GET", "/") == "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="


@pytest.mark.parametrize(
    ("algorithm", "response"),
    [
        ("MD5", "8ca523f5e9506fed4657c9700eebdbec"),
        ("SHA-256", "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1"),
    ],
)
def test_the_example_of_digest_authentication_in_its_rfc(algorithm, response):
    sign_in = SignIn("Mufasa", "Circle of Life")
    nonce = "7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v"
    challenge = (
        f'Digest realm="http-auth@example.org", qop="auth, auth-int", algorithm={algorithm},'
        f' nonce="{nonce}", opaque="FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS"'
    )
    assert sign_in.take([challenge])
    sign_in._count = 1
    own_nonce = "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ"
    fields = sign_in._digest(sign_in._wanted, "GET", "/dir/index.html", own_nonce)
    assert fields["response"] == f'"{response}"'
    assert fields["nc"] == "00000001"


@pytest.mark.parametrize(
    ("challenges", "begins"),
    [
        (['Basic realm="a", Digest realm="b", nonce="n", qop="auth"'], "Digest"),
        (['Digest realm="b", nonce="n"', 'Basic realm="a"'], "Digest"),
        (["Negotiate", 'Basic realm="a, b=\\"c\\""'], "Basic"),
        (['Negotiate, basic realm=a, charset="UTF-8"'], "Basic"),
        (['Digest realm="b", nonce="n", qop="auth-int"', 'Basic realm="a"'], "Basic"),
        (['Digest realm="b", nonce="n", algorithm=SHA-512-256', 'Basic realm="a"'], "Basic"),
    ],
)
def test_the_best_way_that_a_server_offers_is_taken(challenges, begins):
    sign_in = SignIn("u", "p")
    assert sign_in.take(challenges)
    assert sign_in.header("GET", "/").startswith(begins + " ")


def test_the_strongest_digest_is_taken():
    sign_in = SignIn("u", "p")
    rest = 'realm="b", nonce="n", qop="auth"'
    assert sign_in.take([f"Digest {rest}, algorithm=MD5", f"Digest {rest}, algorithm=SHA-256-sess"])
    assert "algorithm=SHA-256-sess" in sign_in.header("GET", "/")


@pytest.mark.parametrize(
    "challenges",
    [[], [""], ["Negotiate"], ["NTLM TlRMTVNTUAAC=="], ['Bearer realm="x"'], ['Digest qop="x"']],
)
def test_without_a_way_that_is_known_nothing_is_sent(challenges):
    sign_in = SignIn("u", "p")
    assert not sign_in.take(challenges)
    assert sign_in.header("GET", "/") is None


@given(st.lists(st.text('Basic Digest realm="x", nonce=\\,\t\u00e9', max_size=60), max_size=3))
def test_any_challenge_is_answered_or_not(challenges):
    sign_in = SignIn("u", "p")
    is_known = sign_in.take(challenges)
    assert (sign_in.header("GET", "/") is not None) == is_known


class Guarded:
    """A path of a server that answers only who knows the password, after RFC 7616.

    Args:
        challenge: without its nonce.
        uses: so many requests are good with a nonce.
    """

    def __init__(self, server, challenge: str, uses: int = 1000) -> None:
        self.challenge = challenge
        self.uses = uses
        self.nonces = 0
        self.seen: list[str] = []  # the counts of the present nonce
        self.headers: list[str | None] = []
        server.answers["*"] = self.answer

    def answer(self, handler) -> None:
        header = handler.headers.get("Authorization")
        self.headers.append(header)
        if header and self.is_right(handler, header):
            says(b'{"t": 5}')(handler)
            return
        self.nonces += 1
        self.seen = []
        handler.send_response(401)
        nonce = f', nonce="n{self.nonces}", opaque="o"' * self.challenge.startswith("Digest")
        handler.send_header("WWW-Authenticate", "Negotiate")
        handler.send_header("WWW-Authenticate", self.challenge + nonce)
        handler.end_headers()

    def is_right(self, handler, header: str) -> bool:
        scheme, _, rest = header.partition(" ")
        if scheme == "Basic":
            return rest == b64encode(f"{USER}:{PASSWORD}".encode()).decode()
        said = parse_keqv_list(parse_http_list(rest))
        name = said.get("algorithm", "MD5")
        kind = hashlib.sha256 if name.startswith("SHA") else hashlib.md5

        def hashed(text: str) -> str:
            return kind(text.encode()).hexdigest()

        secret = hashed(f"jager:cellar:{PASSWORD}")
        if name.endswith("-sess"):
            secret = hashed(f"{secret}:n{self.nonces}:{said['cnonce']}")
        request = hashed(f"{handler.command}:{handler.path}")
        middle = f"n{self.nonces}"
        if "qop" in said:
            if said["nc"] in self.seen:  # a repeated request
                return False
            self.seen.append(said["nc"])
            middle += f":{said['nc']}:{said['cnonce']}:{said['qop']}"
        elif self.seen:
            return False
        return (
            len(self.seen) <= self.uses
            and said["opaque"] == "o"
            and said["uri"] == handler.path
            and said["response"] == hashed(f"{secret}:{middle}:{request}")
        )


def ask(server, sign_in, path: str = "/a b?c=d"):
    return http.request("GET", server.url + path, deadline_s=20, most_bytes=1000, sign_in=sign_in)


@pytest.mark.parametrize(
    "challenge",
    [
        'Digest realm="cellar"',
        'Digest realm="cellar", qop="auth"',
        'Digest realm="cellar", qop="auth,auth-int", algorithm=MD5',
        'Digest realm="cellar", qop="auth", algorithm=MD5-sess',
        'Digest realm="cellar", qop=auth, algorithm=SHA-256',
        'Digest realm="cellar", qop="auth", algorithm=SHA-256-sess',
    ],
)
def test_digest_is_answered_and_its_nonce_used_again(server, challenge):
    guarded = Guarded(server, challenge)
    sign_in = SignIn("jager", PASSWORD)
    assert [ask(server, sign_in).status for _ in range(3)] == [200] * 3
    if "qop" in challenge:
        assert guarded.nonces == 1
        assert len(guarded.headers) == 4  # one without, then three with it
    assert PASSWORD not in "".join(filter(None, guarded.headers))


def test_a_nonce_that_is_used_up_is_replaced(server):
    guarded = Guarded(server, 'Digest realm="cellar", qop="auth"', uses=2)
    sign_in = SignIn("jager", PASSWORD)
    assert [ask(server, sign_in).status for _ in range(5)] == [200] * 5
    assert guarded.nonces == 3


def test_basic_is_answered_with_any_letters(server):
    guarded = Guarded(server, 'Basic realm="cellar"')
    sign_in = SignIn(USER, PASSWORD)
    assert [ask(server, sign_in).body for _ in range(2)] == [b'{"t": 5}'] * 2
    assert guarded.headers[0] is None
    assert len(guarded.headers) == 3


@pytest.mark.parametrize("challenge", ['Basic realm="cellar"', 'Digest realm="cellar", qop="auth"'])
def test_a_wrong_password_is_tried_once(server, challenge):
    guarded = Guarded(server, challenge)
    sign_in = SignIn("jager", "wrong")
    assert ask(server, sign_in).status == 401
    assert len(guarded.headers) == 2
    assert ask(server, None).status == 401
    assert guarded.headers[2] is None


def test_another_server_gets_nothing(server):
    def redirect(handler) -> None:
        handler.send_response(302)
        handler.send_header("Location", "/elsewhere")
        handler.end_headers()

    Guarded(server, 'Basic realm="cellar"')
    sign_in = SignIn(USER, PASSWORD)
    ask(server, sign_in)
    server.answers["/redirect"] = redirect
    answer = http.request(
        "GET",
        f"{server.url}/redirect",
        deadline_s=20,
        most_bytes=1000,
        sign_in=sign_in,
        redirects=2,
    )
    assert answer.status == 401
    assert "Authorization" not in server.asked[-1][2]
