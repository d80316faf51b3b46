"""The codec: literal bytes in both directions, and any bytes at all."""

import json
import math
import struct
import sys
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jph.bus import wire
from jph.bus.wire import Control, Data, memory_of
from jph.errors import DatagramError

CONTROL_VECTORS = [
    (
        Control(1, 2, "N", "A1", "@@", 1700000000000.0, True),
        "01000000 00000000 0200000000000000 4e 4131 4040 000000 09000000 00008056febc7842 01",
    ),
    (
        Control(7, 1700000000123, "I", "SC", "@@", 0.0, False),
        "07000000 00000000 7b68e5cf8b010000 49 5343 4040 000000 09000000 0000000000000000 00",
    ),
    (
        Control(2147483647, 3, "P", "ZZ", "A1", 1.5, True),
        "ffffff7f 00000000 0300000000000000 50 5a5a 4131 000000 09000000 000000000000f83f 01",
    ),
    (
        Control(0, 3, "T", "A1", "ZZ", 1.5, True),
        "00000000 00000000 0300000000000000 54 4131 5a5a 000000 09000000 000000000000f83f 01",
    ),
    (
        Control(5, 6, "S", "ZZ", "A1", 0.0, True),
        "05000000 00000000 0600000000000000 53 5a5a 4131 000000 09000000 0000000000000000 01",
    ),
    (
        Control(5, 6, "H", "ZZ", "@@", 0.0, True),
        "05000000 00000000 0600000000000000 48 5a5a 4040 000000 09000000 0000000000000000 01",
    ),
    (
        Control(5, 6, "C", "ZZ", "@@", 0.0, True),
        "05000000 00000000 0600000000000000 43 5a5a 4040 000000 09000000 0000000000000000 01",
    ),
    (
        Control(5, 6, "A", "ZZ", "F1", 21.5, True),
        "05000000 00000000 0600000000000000 41 5a5a 4631 000000 09000000 0000000000803540 01",
    ),
    (
        Control(5, 6, "E", "ZZ", "F1", -0.5, True),
        "05000000 00000000 0600000000000000 45 5a5a 4631 000000 09000000 000000000000e0bf 01",
    ),
]

DATA_VECTORS = [
    (
        Data(1, 2, "f", "C1", 1.0),
        "01000000 00000000 0200000000000000 66 4331 4040 000000 04000000 0000803f",
    ),
    (
        Data(9, 1700000000123, "i", "C1", 4294967295),
        "09000000 00000000 7b68e5cf8b010000 69 4331 4040 000000 04000000 ffffffff",
    ),
    (
        Data(3, 4, "s", "D?", "grün"),
        "03000000 00000000 0400000000000000 73 443f 4040 000000 09000000 05000000 6772c3bc6e",
    ),
    (
        Data(3, 4, "j", "C1", {"value": -5}),
        "03000000 00000000 0400000000000000 6a 4331 4040 000000 10000000 0c000000"
        "7b2276616c7565223a2d357d",
    ),
    (
        Data(258, 4, "n", "C1", 258),
        "02010000 00000000 0400000000000000 6e 4331 4040 000000 04000000 02010000",
    ),
]

codifiers = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), min_size=2, max_size=2)
codifiers = codifiers.filter(lambda text: text != "@@")
sequences = st.integers(0, wire.SEQUENCE_MASK)
times_ms = st.integers(0, wire.TIMESTAMP_LIMIT - 1)
finite = st.floats(allow_nan=False, allow_infinity=False)


@pytest.mark.parametrize("message, text", CONTROL_VECTORS)
def test_control_vector_in_both_directions(message, text):
    assert wire.encode_control(message).hex() == text.replace(" ", "")
    assert wire.decode_control(bytes.fromhex(text)) == message


@pytest.mark.parametrize("message, text", DATA_VECTORS)
def test_data_vector_in_both_directions(message, text):
    assert wire.encode_data(message).hex() == text.replace(" ", "")
    assert wire.decode_data(bytes.fromhex(text)) == message


def test_every_flag_has_a_vector():
    assert {message.flag for message, _ in CONTROL_VECTORS} == set(wire.CONTROL_FLAGS)
    assert {message.flag for message, _ in DATA_VECTORS} == set(wire.DATA_FLAGS)


def test_bytes_said_to_be_zero_are_ignored_on_receipt():
    message, text = DATA_VECTORS[0]
    datagram = bytearray.fromhex(text)
    datagram[4:8] = b"\xff\xff\xff\xff"
    datagram[21:24] = b"\xff\xff\xff"
    assert wire.decode_data(bytes(datagram)) == message


def test_any_byte_but_zero_means_active():
    message, text = CONTROL_VECTORS[0]
    datagram = bytearray.fromhex(text)
    datagram[-1] = 0x80
    assert wire.decode_control(bytes(datagram)) == message


@given(
    st.builds(
        Control,
        sequences,
        times_ms,
        st.sampled_from(wire.CONTROL_FLAGS),
        codifiers,
        codifiers | st.just("@@"),
        finite,
        st.booleans(),
    )
)
def test_control_messages_survive_the_wire(message):
    assert wire.decode_control(wire.encode_control(message)) == message


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | finite | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=8,
)


@given(
    st.tuples(st.just("f"), st.floats(width=32, allow_nan=False, allow_infinity=False))
    | st.tuples(st.sampled_from("in"), st.integers(0, 2**32 - 1))
    | st.tuples(st.just("s"), st.text(max_size=300))
    | st.tuples(st.just("j"), st.builds(lambda v, w: {"value": v, "w": w}, json_values, finite)),
    sequences,
    times_ms,
    codifiers,
)
def test_data_messages_survive_the_wire(flag_and_value, sequence, time_ms, source):
    flag, value = flag_and_value
    message = Data(sequence, time_ms, flag, source, value)
    try:
        datagram = wire.encode_data(message)
    except ValueError as error:  # half a surrogate pair, or too long
        assert isinstance(error, UnicodeEncodeError) or "1440" in str(error)
        return
    assert len(datagram) <= wire.MAX_SIZE
    assert wire.decode_data(datagram) == message


@given(st.binary(max_size=1500))
def test_any_bytes_are_decoded_or_refused(datagram):
    for decode in (wire.decode_control, wire.decode_data):
        with suppress(DatagramError):  # and nothing else, whatever the bytes
            decode(datagram)


@given(
    st.sampled_from([bytes.fromhex(text) for _, text in CONTROL_VECTORS + DATA_VECTORS]),
    st.lists(st.tuples(st.integers(0, 60), st.integers(0, 255)), min_size=1, max_size=4),
    st.integers(0, 3),
)
def test_damaged_messages_are_decoded_or_refused(datagram, damages, cut):
    damaged = bytearray(datagram)
    for at, byte in damages:
        damaged[at % len(damaged)] = byte
    for decode in (wire.decode_control, wire.decode_data):
        with suppress(DatagramError):
            decode(bytes(damaged[: len(damaged) - cut]))


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
def test_numbers_that_are_not_finite_are_refused_where_they_are_sent(number):
    with pytest.raises(ValueError):
        wire.choose(number)
    with pytest.raises(ValueError):
        wire.encode_data(Data(1, 1, "f", "A1", number))
    with pytest.raises(ValueError):
        wire.encode_data(Data(1, 1, "j", "A1", {"value": number}))
    with pytest.raises(ValueError):
        wire.encode_control(Control(1, 1, "A", "ZZ", "A1", number, True))


@pytest.mark.parametrize(
    "value, data_type, flag, chosen",
    [
        (21.5, "float", "f", 21.5),
        (21.5, "double", "j", {"value": 21.5}),
        (1e300, "float", "j", {"value": 1e300}),
        (5, "float", "i", 5),
        (True, "bool", "i", 1),
        (5.0, "integer", "i", 5),
        (5.5, "integer", "f", 5.5),
        (-5, "integer", "j", {"value": -5}),
        (2**32, "integer", "j", {"value": 2**32}),
        (2**32 - 1, "integer", "i", 2**32 - 1),
        ("on", "string", "s", "on"),
        ("on", "json", "j", {"value": "on"}),
        (1, "json", "j", {"value": 1}),
        ({"value": 1, "voltage": 2.5}, "float", "j", {"value": 1, "voltage": 2.5}),
    ],
)
def test_numbers_that_f_and_i_cannot_carry_go_as_j(value, data_type, flag, chosen):
    assert wire.choose(value, data_type) == (flag, chosen)


def test_what_no_message_carries_is_a_type_error():
    for value in (None, [1], b"bytes", object()):
        with pytest.raises(TypeError):
            wire.choose(value)


def test_text_as_long_as_a_datagram_fits_and_one_byte_more_does_not():
    assert len(wire.encode_data(Data(1, 1, "s", "A1", "x" * wire.MAX_TEXT))) == 1472
    with pytest.raises(ValueError, match="1441 bytes"):
        wire.encode_data(Data(1, 1, "s", "A1", "x" * (wire.MAX_TEXT + 1)))


@pytest.mark.parametrize("codifier", ["", "A", "ABC", "@@", "Ä1", "A ", "A\n", "A\x7f"])
def test_what_is_no_codifier_is_refused(codifier):
    assert not wire.is_codifier(codifier)
    with pytest.raises(ValueError):
        wire.encode_control(Control(1, 1, "I", codifier, "@@", 0.0, True))


@pytest.mark.parametrize("codifier", ["A1", "zz", "@A", "A@", "~!", '"\\'])
def test_any_two_printable_characters_are_a_codifier(codifier):
    assert wire.is_codifier(codifier)


@pytest.mark.parametrize(
    "payload, reason",
    [
        (b"{", "no JSON"),
        (b"5", "no JSON object"),
        (b'{"v":1}', "no JSON object"),
        (b'{"value":"\\ud800"}', "no JSON"),
        (b"[" * 1400, "no JSON"),
        (b"\xff\xfe", "not UTF-8"),
    ],
)
def test_json_that_is_none_is_refused(payload, reason):
    with pytest.raises(DatagramError, match=reason):
        wire.decode_data(_datagram(b"j", struct.pack("<I", len(payload)) + payload))


def test_json_numbers_that_are_not_finite_become_null():
    text = b'{"value":NaN,"a":1e999,"b":-Infinity,"c":2.5}'
    message = wire.decode_data(_datagram(b"j", struct.pack("<I", len(text)) + text))
    assert message.value == {"value": None, "a": None, "b": None, "c": 2.5}


@pytest.mark.parametrize(
    "datagram, reason",
    [
        (b"", "0 bytes"),
        (bytes(31), "31 bytes"),
        (bytes(1473), "1473 bytes"),
    ],
)
def test_sizes_that_no_message_has_are_refused(datagram, reason):
    with pytest.raises(DatagramError, match=reason):
        wire.decode_data(datagram)


def test_lengths_flags_and_times_that_do_not_fit_are_refused():
    good = _datagram(b"f", bytes(4))
    wire.decode_data(good)
    for at, byte, reason in [
        (16, ord("x"), "unknown data flag"),
        (17, 0x80, "no Codifier"),
        (19, 0x00, "no Codifier"),
        (24, 5, "length field 5"),
        (15, 1, "timestamp"),
    ]:
        bad = bytearray(good)
        bad[at] = byte
        with pytest.raises(DatagramError, match=reason):
            wire.decode_data(bytes(bad))
    with pytest.raises(DatagramError, match="payload of 8 bytes"):
        wire.decode_data(_datagram(b"f", bytes(8)))
    with pytest.raises(DatagramError, match="text count 9 of 3"):
        wire.decode_data(_datagram(b"s", struct.pack("<I", 9) + b"abc"))


@pytest.mark.parametrize(
    "value, number",
    [
        (1.5, 1.5),
        (3, 3.0),
        (True, 1.0),
        ({"value": -2}, -2.0),
        ({"value": None}, None),
        ({"value": "x"}, None),
        ("5", None),
        (math.nan, None),
        (10**400, None),
    ],
)
def test_the_number_in_a_value(value, number):
    assert wire.number_of(value) == number


def _datagram(flag: bytes, payload: bytes) -> bytes:
    return wire.HEADER.pack(1, 1, flag, b"A1", b"@@", len(payload)) + payload


def test_the_memory_of_readings_counts_texts_and_what_objects_are_made_of():
    def one(value, flag, length):
        return ("A1", 1_795_000_000_000, 5, value, flag, length, ("127.0.0.1", 7602))

    numbers = memory_of([one(1.5, "f", 4)] * 100)
    assert 20_000 <= numbers <= 40_000
    assert memory_of([one("x" * 1440, "s", 1444)] * 100) >= numbers + 144_000
    nested = '{"value":0,"a":[' + ",".join(["[]"] * 400) + "]}"
    value = json.loads(nested)
    real = sum(map(sys.getsizeof, [value, *value, value["a"], *value["a"]]))
    assert memory_of([one(value, "j", len(nested) + 4)]) >= real / 2
    assert memory_of([]) == 0
