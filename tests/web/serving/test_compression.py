import gzip

import pytest


@pytest.mark.parametrize("path", ["/", "/static/css/jph.css", "/static/js/view.js", "/sensor/"])
def test_what_is_worth_it_is_compressed(client, path):
    plain = client.get(path)
    packed = client.get(path, Accept_Encoding="gzip, br")
    assert packed.headers["Content-Encoding"] == "gzip"
    assert int(packed.headers["Content-Length"]) == len(packed.body) < len(plain.body)
    assert "Accept-Encoding" in packed.headers["Vary"]
    assert "Accept-Encoding" in plain.headers["Vary"]
    assert plain.headers["Content-Encoding"] is None
    if path != "/":  # it has times in it
        assert gzip.decompress(packed.body) == plain.body


def test_a_compressed_file_is_not_sent_twice(client):
    first = client.get("/static/js/view.js", Accept_Encoding="gzip")
    again = client.get(
        "/static/js/view.js", Accept_Encoding="gzip", If_None_Match=first.headers["ETag"]
    )
    assert again.status == 304
    assert again.body == b""


@pytest.mark.parametrize("accept", ["", "identity", "gzip;q=0", "br", "gzip;q=x", "\xff", ";;,,"])
def test_who_takes_no_gzip_gets_none(client, accept):
    answer = client.get("/static/js/view.js", Accept_Encoding=accept)
    assert answer.status == 200
    if "q=x" not in accept:
        assert answer.headers["Content-Encoding"] is None
