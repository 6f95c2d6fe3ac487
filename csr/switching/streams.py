"""Random streams that depend only on (seed, epoch, index).

SplitMix64 (Steele, Lea and Flood 2014): the state moves by a fixed odd step and a bijective mixer turns it into
64 output bits. For one seed and epoch, the map from sentence index to start state is one-to-one, so no two sentences
of an epoch share a stream. ``csr.switching.compiled`` repeats these few lines for numba; a test holds the
two to the same bits.
"""

from __future__ import annotations

STEP = 0x9E3779B97F4A7C15
MIX_1 = 0xBF58476D1CE4E5B9
MIX_2 = 0x94D049BB133111EB
MASK = (1 << 64) - 1


def mix(z: int) -> int:
    """SplitMix64's output function of a state: a bijection on 64 bits."""
    z = ((z ^ (z >> 30)) * MIX_1) & MASK
    z = ((z ^ (z >> 27)) * MIX_2) & MASK
    return z ^ (z >> 31)


def absorbed(state: int, part: int) -> int:
    """The state that follows from one and a number."""
    return mix((state + part + 1) * STEP & MASK)


def start_state(seed: int, epoch: int, index: int) -> int:
    """The state in which the stream of one sentence starts."""
    return absorbed(absorbed(absorbed(0, seed), epoch), index)


class Stream:
    """The random numbers of one sentence in one epoch."""

    def __init__(self, seed: int, epoch: int, index: int) -> None:
        self.state = start_state(seed, epoch, index)

    def random(self) -> float:
        """A float in [0, 1) with 53 random bits."""
        self.state = (self.state + STEP) & MASK
        return (mix(self.state) >> 11) * 2.0**-53

    def below(self, n: int) -> int:
        """An integer in [0, n)."""
        return int(self.random() * n)

    def poisson(self, exp_minus_mean: float) -> int:
        """A Poisson number, given exp(-mean): how many uniforms multiply to stay above it (Knuth)."""
        count, product = 0, self.random()
        while product > exp_minus_mean:
            count += 1
            product *= self.random()
        return count

    def permutation(self, n: int) -> list[int]:
        """0 .. n-1 in random order (Fisher and Yates)."""
        order = list(range(n))
        for i in range(n - 1, 0, -1):
            j = self.below(i + 1)
            order[i], order[j] = order[j], order[i]
        return order
