"""Protocol buffers by hand: a SentencePiece model is one, and its own classes need a version others forbid."""

from __future__ import annotations

from collections.abc import Iterator

# Sizes of the fields of fixed length, by wire type.
_FIXED = {1: 8, 5: 4}


def fields(message: bytes) -> Iterator[tuple[int, int | bytes]]:
    """Yield number and value of the fields of a message in their order: whole numbers as such, all others as bytes.

    >>> list(fields(bytes([0x0A, 2, 0x68, 0x69, 0x18, 0x96, 0x01])))
    [(1, b'hi'), (3, 150)]

    Raises:
        ValueError: the message is damaged or cut short.
    """
    position = 0
    while position < len(message):
        key, position = _varint(message, position)
        number, kind = divmod(key, 8)
        if kind == 0:
            value, position = _varint(message, position)
            yield number, value
            continue
        if kind == 2:
            size, position = _varint(message, position)
        elif kind in _FIXED:
            size = _FIXED[kind]
        else:
            raise ValueError(f"expected a protocol buffer, found wire type {kind}")
        if position + size > len(message):
            raise ValueError("expected a whole protocol buffer, found a part of one")
        yield number, message[position : position + size]
        position += size


def field(number: int, content: bytes) -> bytes:
    """A field of variable length, such as a text or another message.

    >>> field(1, b"hi").hex(" ")
    '0a 02 68 69'
    """
    return _encoded(number * 8 + 2) + _encoded(len(content)) + content


def number(field_number: int, value: int) -> bytes:
    """A field with a whole number, such as an index or a truth value.

    >>> number(3, 150).hex(" ")
    '18 96 01'
    """
    return _encoded(field_number * 8) + _encoded(value % 2**64)  # negative ones as their two's complement


def _varint(message: bytes, position: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        if position == len(message):
            raise ValueError("expected a whole protocol buffer, found a part of one")
        byte = message[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, position
        shift += 7


def _encoded(number: int) -> bytes:
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)
