#!/usr/bin/env python3
"""Turn the recorded conversations into seed corpora: seeds.py DIRECTORY.

Writes DIRECTORY/fuzz_frames (whole conversations, cut in several ways), DIRECTORY/fuzz_fields
(one file per different message), DIRECTORY/fuzz_record (clients in each state) and
DIRECTORY/fuzz_login (what clients prove themselves with). The layout of an input is described at
the head of each target, that of a record in ../record.h; READERS is the order of `enum reader` in
fuzz_fields.c.
"""

import hashlib
import sys
from collections.abc import Iterator
from pathlib import Path

TRANSCRIPTS = Path(__file__).with_name("transcripts.txt")
SIDES = ("frontend", "backend")
READERS = ["Q", "P", "B", "D", "C", "E", "Z", "c", "e", "S"]
READER_OF = {
    "frontend": {"Q": "Q", "P": "P", "B": "B", "D": "D", "C": "C", "E": "E"},
    "backend": {"Z": "Z", "C": "c", "E": "e", "N": "e", "S": "S"},
}
CUTS = [b"", b"\x00", b"\x04\x00", b"\x02\x06\x3f"]


def conversations() -> Iterator[tuple[str, list[bytes]]]:
    """Give (side, messages) of each section."""
    for section in TRANSCRIPTS.read_text(encoding="ascii").split("\n[")[1:]:
        title, _, body = section.partition("]\n")
        yield title.split()[1], [bytes.fromhex(line) for line in body.split()]


def frame_seeds() -> Iterator[bytes]:
    """Lay out whole conversations for fuzz_frames."""
    for side, messages in conversations():
        for cuts in CUTS:
            yield bytes([SIDES.index(side), len(cuts)]) + cuts + b"".join(messages)


def field_seeds() -> Iterator[bytes]:
    """Lay out the bodies that have a reader for fuzz_fields."""
    for side, messages in conversations():
        for message in messages:
            reader = READER_OF[side].get(chr(message[0]))
            if reader is not None:
                yield bytes([READERS.index(reader)]) + message[5:]


def field(tag: int, body: int | bytes) -> bytes:
    """Lay out one field of a record; tags as in record_fields.h, all of them needed."""
    data = body.to_bytes(8, "big") if isinstance(body, int) else body
    return (0x8000 | tag).to_bytes(2, "big") + len(data).to_bytes(4, "big") + data


def record_seeds() -> Iterator[bytes]:
    """Lay out records: an idle, a waiting and a linked client."""
    head = (0x67706D76).to_bytes(4, "big") + b"\x00\x01" + field(1, 3)
    text = b"select 1\0\0\0"
    statement = bytes(9) + len(text).to_bytes(4, "big") + text
    base = field(14, bytes(8) + (4).to_bytes(4, "big") + b"sql;" + b"look")
    names = field(16, statement) + field(16, statement + b"s1")
    yield head + field(3, 2) + base + names
    yield head + field(3, 3) + base + field(11, b"Q\0\0\0\x05\0")
    intent = field(0x118, b"\0\1" + bytes(20) + statement + b"s1")
    linked = field(0x100, 1) + field(0x117, b"\x42\x07") + intent
    yield head + field(3, 4) + base + names + linked + field(0x119, bytes(12) + b"kept")


def login_seeds() -> Iterator[bytes]:
    """Lay out the client's side of logins for fuzz_login, whose server's nonce is all A."""
    final = b"r=c" + b"A" * 24 + b",p=" + b"A" * 43 + b"="
    yield bytes((0, 7)) + _password(b"md5" + b"0" * 32 + b"\0")
    for how, mechanism, header, told in (
        (1, b"SCRAM-SHA-256", b"n,,", b"c=biws,"),
        (5, b"SCRAM-SHA-256", b"y,,", b"c=eSws,"),
        (3, b"SCRAM-SHA-256-PLUS", b"p=tls-server-end-point,,", b"c=cD10bHM=,"),
    ):
        first = header + b"n=,r=c"
        initial = mechanism + b"\0" + len(first).to_bytes(4, "big") + first
        yield bytes((how, 3)) + _password(initial) + _password(told + final)
        late = mechanism + b"\0" + b"\xff" * 4
        yield bytes((how, 3)) + _password(late) + _password(first) + _password(told + final)


def _password(body: bytes) -> bytes:
    return b"p" + (len(body) + 4).to_bytes(4, "big") + body


def write(directory: Path, seeds: Iterator[bytes]) -> None:
    """Write each seed under the name of its digest, so that equal ones are one."""
    directory.mkdir(parents=True, exist_ok=True)
    for seed in seeds:
        (directory / hashlib.sha1(seed).hexdigest()).write_bytes(seed)


def main() -> None:
    """Write all corpora below the directory named on the command line."""
    if len(sys.argv) != 2:
        sys.exit(f"usage: {sys.argv[0]} DIRECTORY")
    write(Path(sys.argv[1]) / "fuzz_frames", frame_seeds())
    write(Path(sys.argv[1]) / "fuzz_fields", field_seeds())
    write(Path(sys.argv[1]) / "fuzz_record", record_seeds())
    write(Path(sys.argv[1]) / "fuzz_login", login_seeds())


if __name__ == "__main__":
    main()
