"""The compiled twin of ``csr.switching.streams``: a stream is a uint64 array of one element, its state."""

from __future__ import annotations

import numpy as np

from csr.jit import njit
from csr.switching.streams import MIX_1, MIX_2, STEP

_STEP, _MIX_1, _MIX_2 = np.uint64(STEP), np.uint64(MIX_1), np.uint64(MIX_2)
_S27, _S30, _S31, _S11 = np.uint64(27), np.uint64(30), np.uint64(31), np.uint64(11)

jit = njit(nogil=True, boundscheck=False)


@jit
def mix(z):  # type: ignore[no-untyped-def]
    """A bijection on 64 bits: SplitMix64's output function of a state."""
    z = (z ^ (z >> _S30)) * _MIX_1
    z = (z ^ (z >> _S27)) * _MIX_2
    return z ^ (z >> _S31)


@jit
def random(state):  # type: ignore[no-untyped-def]
    """A float in [0, 1) with 53 random bits."""
    state[0] += _STEP
    return (mix(state[0]) >> _S11) * 2.0**-53


@jit
def poisson(state, exp_minus_mean):  # type: ignore[no-untyped-def]
    """A Poisson number, given exp(-mean): how many uniforms multiply to stay above it (Knuth)."""
    count = 0
    product = random(state)
    while product > exp_minus_mean:
        count += 1
        product *= random(state)
    return count


@jit
def permutation(state, n):  # type: ignore[no-untyped-def]
    """0 .. n-1 in random order (Fisher and Yates)."""
    order = np.arange(n)
    for i in range(n - 1, 0, -1):
        j = int(random(state) * (i + 1))
        order[i], order[j] = order[j], order[i]
    return order
