"""JSON that is taken, and JSON that is not."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateways.iottalk.values import MOST_BYTES, NotTaken, object_of, payload_of, values_of

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    # Half a character is none.
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=10,
)


@given(st.lists(JSON))
def test_what_is_sent_comes_again(values):
    assert values_of(payload_of(values)) == values
    assert values_of(json.dumps(values, ensure_ascii=False).encode()) == values


@given(st.binary(max_size=60))
def test_any_bytes_are_values_or_not_taken(payload):
    try:
        assert isinstance(values_of(payload), list)
    except NotTaken as error:
        assert str(error)


@pytest.mark.parametrize(
    ("payload", "why"),
    [
        (b"", "no JSON"),
        (b"\xff", "no JSON"),
        (b"[1", "no JSON"),
        (b"[" * 30_000, "nested too deep"),
        (b"[NaN]", "not finite"),
        (b"[-Infinity]", "not finite"),
        (b"[1e999]", "not finite"),
        (b'["\\ud800"]', "half a character"),
        (b"9" * 5_000, "no JSON"),
        (b"1" * (MOST_BYTES + 1), "more than"),
    ],
)
def test_what_not_every_client_could_read_is_not_taken(payload, why):
    with pytest.raises(NotTaken, match=why):
        values_of(payload)


def test_a_bare_value_is_a_list_of_one_and_a_request_is_an_object():
    assert values_of(b"5") == [5]
    assert values_of(b'{"a": 1}') == [{"a": 1}]
    assert object_of(b'{"a": 1}') == {"a": 1}
    with pytest.raises(NotTaken, match="no JSON object"):
        object_of(b"[1]")
