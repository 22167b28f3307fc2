#!/usr/bin/env python3
"""Turn the recorded conversations into seed corpora: seeds.py DIRECTORY.

Writes DIRECTORY/fuzz_frames (whole conversations, cut in several ways) and DIRECTORY/fuzz_fields
(one file per different message). The layout of an input is described at the head of each target;
READERS is the order of `enum reader` in fuzz_fields.c.
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


def write(directory: Path, seeds: Iterator[bytes]) -> None:
    """Write each seed under the name of its digest, so that equal ones are one."""
    directory.mkdir(parents=True, exist_ok=True)
    for seed in seeds:
        (directory / hashlib.sha1(seed).hexdigest()).write_bytes(seed)


def main() -> None:
    """Write both corpora below the directory named on the command line."""
    if len(sys.argv) != 2:
        sys.exit(f"usage: {sys.argv[0]} DIRECTORY")
    write(Path(sys.argv[1]) / "fuzz_frames", frame_seeds())
    write(Path(sys.argv[1]) / "fuzz_fields", field_seeds())


if __name__ == "__main__":
    main()
