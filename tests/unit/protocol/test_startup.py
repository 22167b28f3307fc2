from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from greenpool.protocol import frontend
from greenpool.protocol.errors import ClientError, ErrorFields, error_response
from greenpool.protocol.startup import (
    CancelRequest,
    DirectTls,
    DirectTlsRefused,
    Encryption,
    EncryptionRequest,
    Replication,
    StartupMessage,
    StartupReader,
)
from tests.unit.protocol.feeding import slicings

USER = {"user": "joe"}


def packet(code, body=b""):
    return struct.pack("!II", 8 + len(body), code) + body


def read(data):
    event = StartupReader().feed(data)
    assert event is not None
    return event


def refusal(data):
    with pytest.raises(ClientError) as caught:
        StartupReader().feed(data)
    fields = caught.value.fields
    return fields.severity, fields.sqlstate, fields.message


def startup(**pairs):
    event = read(frontend.startup_message(pairs))
    assert isinstance(event, StartupMessage)
    return event


@pytest.mark.parametrize("tail", [b"", b"p\0\0\0\4"])
@pytest.mark.parametrize(
    ("data", "event"),
    [
        (frontend.cancel_request(9, b"1234"), CancelRequest(9, b"1234")),
        (frontend.cancel_request(1 << 31, bytes(256)), CancelRequest(1 << 31, bytes(256))),
        (
            frontend.startup_message({**USER, "database": "db", "options": "-c a=b", "x": "y"}),
            StartupMessage(
                frontend.PROTOCOL_3_0, "joe", "db", Replication.NONE, "-c a=b", {"x": "y"}, ()
            ),
        ),
    ],
)
def test_reader_finds_the_same_event_however_split(data, event, tail):
    for slices in slicings(data):
        reader = StartupReader()
        *head, last = slices
        assert [reader.feed(each) for each in head] == [None] * len(head)
        assert reader.feed(last + tail) == event
        assert reader.take_rest() == tail


@pytest.mark.parametrize("kinds", [("SSL",), ("GSSAPI",), ("SSL", "GSSAPI"), ("GSSAPI", "SSL")])
def test_reader_takes_encryption_requests_in_either_order(kinds):
    packets = {"SSL": frontend.ssl_request(), "GSSAPI": frontend.gssenc_request()}
    reader = StartupReader()
    for kind in kinds:
        assert reader.feed(packets[kind]) == EncryptionRequest(Encryption[kind])
    assert isinstance(reader.feed(frontend.startup_message(USER)), StartupMessage)


def test_reader_takes_a_cancel_request_after_an_encryption_request():
    reader = StartupReader()
    reader.feed(frontend.ssl_request())
    assert reader.feed(frontend.cancel_request(1, b"keyy")) == CancelRequest(1, b"keyy")


def test_reader_refuses_a_second_request_of_one_kind_like_postgresql():
    reader = StartupReader()
    reader.feed(frontend.ssl_request())
    with pytest.raises(ClientError, match=r"unsupported frontend protocol 1234\.5679"):
        reader.feed(frontend.ssl_request())


@pytest.mark.parametrize(
    ("request_packet", "name"),
    [(frontend.ssl_request(), "SSL"), (frontend.gssenc_request(), "GSSAPI encryption")],
)
def test_reader_refuses_bytes_behind_an_encryption_request(request_packet, name):
    # CVE-2021-23214: such bytes may come from somebody in the middle
    for tail in (b"\0", frontend.startup_message(USER)):
        message = f"received unencrypted data after {name} request"
        assert refusal(request_packet + tail) == ("FATAL", "08P01", message)


def test_reader_is_done_after_its_last_packet():
    reader = StartupReader()
    reader.feed(frontend.startup_message(USER))
    with pytest.raises(ValueError, match="over"):
        reader.feed(frontend.startup_message(USER))


@pytest.mark.parametrize("length", [0, 4, 7, 65, 0x7FFFFFFF, 0xFFFFFFFF])
def test_reader_bounds_the_length_before_keeping_the_packet(length):
    with pytest.raises(ClientError, match="invalid length of startup packet") as caught:
        StartupReader(64).feed(struct.pack("!I", length))
    assert caught.value.sqlstate == "08P01"


def test_reader_accepts_packets_exactly_at_the_limit():
    data = frontend.startup_message({**USER, "x": "y" * 20})
    assert isinstance(StartupReader(len(data)).feed(data), StartupMessage)
    with pytest.raises(ClientError, match="invalid length of startup packet"):
        StartupReader(len(data) - 1).feed(data)


@pytest.mark.parametrize("size", [0, 3, 257, 5000])
def test_reader_refuses_cancel_keys_of_other_sizes(size):
    wanted = "invalid length of cancel key in cancel request packet"
    assert refusal(frontend.cancel_request(1, bytes(size))) == ("FATAL", "08P01", wanted)
    short = packet(frontend.CANCEL_REQUEST_CODE, b"\0\0\0")
    assert refusal(short)[2] == "invalid length of cancel request packet"


@pytest.mark.parametrize(
    ("version", "text"),
    [(2 << 16, "2.0"), (0, "0.0"), (4 << 16, "4.0"), ((1234 << 16) | 9, "1234.9")],
)
def test_reader_refuses_other_major_versions(version, text):
    message = f"unsupported frontend protocol {text}: server supports 3.0 to 3.2"
    assert refusal(packet(version, bytes(32))) == ("FATAL", "0A000", message)


def test_refusal_of_protocol_2_is_told_in_protocol_2():
    with pytest.raises(ClientError) as caught:
        StartupReader().feed(packet(2 << 16, bytes(288)))
    assert error_response(caught.value) == (
        b"EFATAL:  unsupported frontend protocol 2.0: server supports 3.0 to 3.2\n\0"
    )
    with pytest.raises(ClientError) as caught:
        StartupReader().feed(packet(4 << 16))
    assert ErrorFields.parse(error_response(caught.value)[5:]).sqlstate == "0A000"


def test_reader_knows_direct_tls_by_its_first_byte_alone():
    assert StartupReader().feed(b"\x16\x03\x01") == DirectTls(b"\x16\x03\x01")
    reader = StartupReader()
    reader.feed(frontend.ssl_request())
    reader.feed(b"")
    with pytest.raises(ClientError, match="invalid length of startup packet"):
        reader.feed(b"\x16\x03\x01\x02")


def test_refusal_of_direct_tls_is_an_alert():
    assert error_response(DirectTlsRefused()) == b"\x15\x03\x01\0\2\2\x28"


@pytest.mark.parametrize("request_packet", [frontend.ssl_request(), frontend.gssenc_request()])
def test_no_encryption_is_asked_for_within_tls(request_packet):
    reader = StartupReader()
    reader.feed(frontend.ssl_request())
    reader.encrypt()
    with pytest.raises(ClientError, match="unsupported frontend protocol 1234"):
        reader.feed(request_packet)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"user",
        b"user\0",
        b"user\0joe",
        b"user\0joe\0",
        b"user\0joe\0\0\0",
        b"user\0joe\0\0x",
        b"user\0joe\0database\0\0",
    ],
)
def test_reader_refuses_a_packet_without_its_terminator_at_the_end(body):
    message = "invalid startup packet layout: expected terminator as last byte"
    assert refusal(packet(frontend.PROTOCOL_3_0, body)) == ("FATAL", "08P01", message)


@pytest.mark.parametrize("pairs", [{}, {"user": ""}, {"database": "db"}])
def test_reader_refuses_a_packet_without_a_user(pairs):
    message = "no PostgreSQL user name specified in startup packet"
    assert refusal(frontend.startup_message(pairs)) == ("FATAL", "28000", message)


def test_database_defaults_to_the_user_and_names_are_cut_to_63_bytes():
    assert startup(user="joe").database == "joe"
    assert startup(user="joe", database="").database == "joe"
    long = startup(user="u" * 80, database="é" * 40)
    assert long.user == "u" * 63
    assert len(long.database.encode("utf-8", "surrogateescape")) == 63


def test_parameters_keep_their_order_and_the_last_of_equal_names():
    body = b"b\x001\0user\0joe\0a\x002\0b\x003\0application_name\0\0\0"
    event = read(packet(frontend.PROTOCOL_3_0, body))
    assert list(event.parameters.items()) == [("b", "3"), ("a", "2"), ("application_name", "")]


def test_settings_put_parameters_over_options():
    event = startup(user="joe", options="-c a=1 -c b=2", a="3")
    assert event.settings() == {"a": "3", "b": "2"}
    with pytest.raises(ClientError, match="requires a value"):
        startup(user="joe", options="--a").settings()


@pytest.mark.parametrize(
    ("value", "replication"),
    [
        ("database", Replication.LOGICAL),
        ("true", Replication.PHYSICAL),
        ("1", Replication.PHYSICAL),
        ("T", Replication.PHYSICAL),
        ("on", Replication.PHYSICAL),
        ("Yes", Replication.PHYSICAL),
        ("false", Replication.NONE),
        ("0", Replication.NONE),
        ("of", Replication.NONE),
        ("n", Replication.NONE),
    ],
)
def test_replication_is_read_as_postgresql_reads_it(value, replication):
    assert startup(user="joe", replication=value).replication is replication


@pytest.mark.parametrize("value", ["", "o", "maybe", "DATABASE", "2"])
def test_replication_refuses_other_values(value):
    wanted = f'invalid value for parameter "replication": "{value}"'
    assert refusal(frontend.startup_message({**USER, "replication": value})) == (
        "FATAL",
        "22023",
        wanted,
    )


def negotiation(version, **options):
    pairs = {**USER, **{f"_pq_.{name}": value for name, value in options.items()}}
    event = read(frontend.startup_message(pairs, version))
    assert isinstance(event, StartupMessage)
    return event.negotiation(), event.spoken_version


@pytest.mark.parametrize("version", [0x30000, 0x30001, 0x30002])
def test_negotiation_is_not_due_for_what_we_speak(version):
    assert negotiation(version) == (b"", version)


def test_negotiation_goes_down_to_3_2_when_more_is_asked():
    # new libpq asks for 3.9999 on purpose
    assert negotiation(0x30000 | 9999) == (b"v\0\0\0\x0c\0\3\0\2\0\0\0\0", 0x30002)


def test_negotiation_lists_unknown_options_once_and_keeps_the_version():
    wire, version = negotiation(0x30000, foo="1", test_protocol_negotiation="")
    assert version == 0x30000
    assert wire.endswith(b"\0\3\0\0\0\0\0\2_pq_.foo\0_pq_.test_protocol_negotiation\0")
    body = b"_pq_.a\0x\0user\0joe\0_pq_.a\0y\0\0"
    event = read(packet(0x30000, body))
    assert event.protocol_options == ("_pq_.a",)
    assert event.parameters == {}


def test_long_cancel_keys_are_for_3_2_only():
    for version, long_keys in ((0x30000, False), (0x30001, False), (0x30002, True)):
        event = read(frontend.startup_message(USER, version))
        assert event.takes_long_cancel_keys is long_keys


# ---- whatever comes ----------------------------------------------------------------------------

_LIMIT = 200
_WORDS = st.sampled_from(
    ["user", "database", "replication", "options", "_pq_.x", "-c a=b --c", "true", "\\ ", "joe"]
)
_PAIRS = st.lists(st.tuples(_WORDS, _WORDS | st.text(st.characters(codec="utf-8"), max_size=70)))
_CODES = st.sampled_from([0, 2 << 16, *(3 << 16 | minor for minor in (0, 1, 2, 9999))])
_BODIES = _PAIRS.map(lambda pairs: b"".join(f"{a}\0{b}\0".encode() for a, b in pairs) + b"\0")
_PACKETS = st.one_of(
    st.builds(packet, _CODES, _BODIES | st.binary(max_size=40)),
    st.sampled_from([frontend.ssl_request(), frontend.gssenc_request(), b"\x16\x03\x01"]),
    st.binary(max_size=300).map(lambda key: frontend.cancel_request(7, key)),
    st.binary(max_size=12),
)


def ending(pieces):
    """Read packets as a session does, refusing encryption; return the end of it."""
    reader = StartupReader(_LIMIT)
    for piece in pieces:
        try:
            event = reader.feed(piece)
        except ClientError as exc:
            return exc.fields
        assert reader.pending < _LIMIT + len(piece)
        if isinstance(event, StartupMessage):
            assert len(event.packet) <= _LIMIT
            assert 0 < len(event.user.encode(errors="surrogateescape")) <= 63
            assert event.negotiated().negotiation() == b""
            try:
                event.settings()
            except ClientError as exc:
                return event, exc.fields
            return event
        if isinstance(event, CancelRequest | DirectTls):
            return event
    return reader.pending


@given(st.lists(_PACKETS, max_size=4), st.integers(0, 255), st.integers(0, 400))
def test_any_packets_end_in_an_event_an_error_or_a_wait(packets, byte, at):
    """However they are cut, and damaged in one place."""
    data = [bytearray(each) for each in packets]
    if packets and at < len(data[0]):
        data[0][at] = byte
    whole = [bytes(each) for each in data]
    result = ending(whole)
    if not isinstance(result, DirectTls):
        by_byte = ending(each[i : i + 1] for each in whole for i in range(len(each)))
        assert by_byte == result or is_early(result, by_byte)


def is_early(result, by_byte):
    """Say whether the reader, seeing less at a time, had not met what it refused at once.

    Only bytes behind a request for encryption are such: whoever has sent them in time is refused.
    """
    return isinstance(result, ErrorFields) and "unencrypted data" in result.message
