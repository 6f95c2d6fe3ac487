"""Compiled functions, kept between runs where there is a folder for them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import numba
import numpy as np

F = TypeVar("F", bound=Callable[..., Any])


def njit(**options: Any) -> Callable[[F], F]:
    """``numba.njit`` whose machine code is kept beside the source or in the user's cache, if either can be written."""

    def compiled(function: F) -> F:
        try:
            return numba.njit(cache=True, **options)(function)
        except RuntimeError:  # there is no such folder: each process compiles anew
            return numba.njit(**options)(function)

    return compiled


def fixed(array: np.ndarray) -> np.ndarray:
    """A view that cannot be written: arrays in memory and those mapped from disk share one compilation."""
    view = np.asarray(array).view()
    view.flags.writeable = False
    return view
