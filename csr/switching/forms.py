"""A hash table of the forms of words, each a few piece ids, for the compiled code to look words up in."""

from __future__ import annotations

import numpy as np

from csr.switching.compiled_streams import jit, mix

_FNV, _PRIME = np.uint64(0xCBF29CE484222325), np.uint64(0x100000001B3)


@jit
def _hash(pieces, start, end):  # type: ignore[no-untyped-def]
    h = _FNV
    for i in range(start, end):
        h = (h ^ np.uint64(pieces[i])) * _PRIME
    return mix(h)


@jit
def build_slots(form_starts, form_pieces):  # type: ignore[no-untyped-def]
    """An open-addressing hash table of the forms, at most half full."""
    n = len(form_starts) - 1
    size = 16
    while size < 2 * n:
        size *= 2
    slots = np.full(size, -1, np.int32)
    mask = np.uint64(size - 1)
    for form in range(n):
        slot = _hash(form_pieces, form_starts[form], form_starts[form + 1]) & mask
        while slots[slot] >= 0:
            slot = (slot + np.uint64(1)) & mask
        slots[slot] = form
    return slots


@jit
def find_form(pieces, start, end, slots, form_starts, form_pieces):  # type: ignore[no-untyped-def]
    """The form that the pieces from ``start`` up to ``end`` are; -1: none."""
    mask = np.uint64(len(slots) - 1)
    slot = _hash(pieces, start, end) & mask
    while slots[slot] >= 0:
        form = slots[slot]
        first = form_starts[form]
        if form_starts[form + 1] - first == end - start:
            same = True
            for i in range(end - start):
                if form_pieces[first + i] != pieces[start + i]:
                    same = False
                    break
            if same:
                return form
        slot = (slot + np.uint64(1)) & mask
    return -1
