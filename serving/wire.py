"""The wire format of protocol buffers, read without schemas."""

from __future__ import annotations

from collections.abc import Iterator

_FIXED = {1: 8, 5: 4}
_LONGEST = 10  # bytes of a number of 64 bits


def varint(content: bytes, start: int) -> tuple[int, int]:
    """A number and where it ends.

    Raises:
        IndexError: if it does not end, or has more than 64 bits.
    """
    value = shift = 0
    for place in range(start, start + _LONGEST):
        byte = content[place]
        value |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            return value, place + 1
    raise IndexError


def encoded(value: int) -> bytes:
    """The bytes of a number."""
    found = bytearray()
    while value >= 0x80:
        found.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*found, value])


def fields(message: bytes) -> Iterator[tuple[int, bytes, bytes]]:
    """Number, whole encoding and, of a length-delimited field, content; field by field.

    Raises:
        ValueError: if the message is truncated or of an unknown wire type.
    """
    position = 0
    try:
        while position < len(message):
            tag, start = varint(message, position)
            kind = tag & 7
            if kind == 0:
                _, end = varint(message, start)
            elif kind == 2:
                size, start = varint(message, start)
                end = start + size
            else:
                end = start + _FIXED[kind]
            if end > len(message):
                raise IndexError
            yield tag >> 3, message[position:end], message[start:end] if kind == 2 else b""
            position = end
    except (IndexError, KeyError) as error:
        raise ValueError(
            f"A message should end where it says. Received: {len(message)} bytes, "
            f"broken after {position}"
        ) from error
