"""Where the words of an encoded sentence start and end, for the compiled code."""

from __future__ import annotations

import numpy as np

from csr.switching.compiled_streams import jit
from csr.switching.symbols import Mark, Role, Unit

_OUTSIDE, _INSIDE, _JOINER, _BARE = (np.uint8(role) for role in (Role.OUTSIDE, Role.INSIDE, Role.JOINER, Role.BARE))
_KIND = np.uint8(3)
_START, _CONTINUES = np.uint8(Role.START), np.uint8(Role.CONTINUES)
_CAPITAL = np.uint8(Role.CAPITAL)
_BEGIN, _GO_ON = np.uint8(Mark.BEGIN), np.uint8(Mark.GO_ON)
_PIECE = int(Unit.PIECE)
NO_MARKS = np.empty(0, np.uint8)


@jit
def marked_words(marks):  # type: ignore[no-untyped-def]
    """Starts and ends of the words of a sentence, by its ``csr.switching.symbols.Mark`` of each piece."""
    n = len(marks)
    starts = np.empty(n, np.int32)
    ends = np.empty(n, np.int32)
    count = 0
    for i in range(n):
        if marks[i] == _BEGIN:
            starts[count] = i
            count += 1
        if marks[i] == _BEGIN or (marks[i] == _GO_ON and count > 0):
            ends[count - 1] = i + 1
    return starts[:count], ends[:count]


@jit
def find_units(ids, marks, roles, unit):  # type: ignore[no-untyped-def]
    """Where what is replaced starts and ends: words, by marks if there are any, or pieces."""
    if unit == _PIECE:
        starts = np.empty(len(ids), np.int32)
        count = 0
        for i in range(len(ids)):
            if roles[ids[i]] & _KIND == _INSIDE:
                starts[count] = i
                count += 1
        return starts[:count], starts[:count] + np.int32(1)
    # A row of marks that is not as long as its sentence is of another text: never trust it.
    if len(marks) == len(ids) and len(ids) > 0:
        return marked_words(marks)
    return find_words(ids, roles)


@jit
def find_words(ids, roles):  # type: ignore[no-untyped-def]
    """Starts and ends of the words of a sentence, int32 [n_words] each.

    A word is a run of pieces with letters or digits that follows a space or punctuation; an apostrophe between two
    such pieces belongs to it.
    """
    n = len(ids)
    starts = np.empty(n, np.int32)
    ends = np.empty(n, np.int32)
    count = 0
    open_at = -1  # where the open word starts
    close_at = -1  # where it ends if nothing follows
    bare_at = -1
    continues = False
    for i in range(n):
        role = roles[ids[i]]
        kind = role & _KIND
        starts_word = (role & _START) != 0 and not continues
        continues = (role & _CONTINUES) != 0
        if open_at >= 0 and (starts_word or kind in (_OUTSIDE, _BARE) or (kind == _JOINER and close_at < i)):
            starts[count], ends[count] = open_at, close_at
            count += 1
            open_at = -1
        if kind == _INSIDE:
            if open_at < 0:
                open_at = bare_at if bare_at >= 0 and not starts_word else i
            close_at = i + 1
        bare_at = i if kind == _BARE else -1
    if open_at >= 0:
        starts[count], ends[count] = open_at, close_at
        count += 1
    return starts[:count], ends[:count]


@jit
def has_capital(ids, start, roles):  # type: ignore[no-untyped-def]
    """Tell whether the word that starts there begins with a capital."""
    if roles[ids[start]] & _KIND == _BARE and start + 1 < len(ids):
        start += 1
    return roles[ids[start]] & _CAPITAL != 0
