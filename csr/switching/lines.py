"""Lines of text, switched: cut into words, ``csr.switching.noise``, and put together again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from csr.lexicon import Lexicon
from csr.switching.noise import Policy, add_noise, covered
from csr.switching.streams import Stream
from csr.text.forms import normalized
from csr.text.words import segments

MASK = "<mask>"


@dataclass(frozen=True)
class SwitchedLine:
    """A line of text as segments, and what replaces some of them."""

    segments: list[str]
    switched: dict[int, str]  # segment -> its replacement; "" where a mask before it stands for it
    n_words: int
    n_covered: int
    n_replaced: int
    positions: tuple[int, ...]  # the replaced words, counted among the words

    def text(self, pattern: str = "{}") -> str:
        """The switched line, each replacement written into a pattern.

        Words that touch, as in Chinese, get a space between their translations.
        """
        parts = []
        for i, segment in enumerate(self.segments):
            new = self.switched.get(i)
            if new and self.switched.get(i - 1):
                parts.append(" ")
            parts.append(segment if new is None else pattern.format(new) if new else "")
        return "".join(parts)


def switch_line(
    line: str,
    lexicon: Lexicon,
    policy: Policy,
    stream: Stream,
    *,
    rate: float | None = None,
    mask_share: float = 0.0,
    aligned: Sequence[str] = (),
    language: str | None = None,
    target_language: str | None = None,
) -> SwitchedLine:
    """Switch words of a line of text; punctuation, spaces, numbers and addresses stay, but those inside a mask.

    The line is normalized first, as the text of models is. The lexicon is expected with its words in every case
    (``Lexicon.cased``). The other arguments are those of ``add_noise``, and the language the line is cut into words by.
    """
    cut = segments(normalized(line), language)
    at = [i for i, (_, is_word) in enumerate(cut) if is_word]
    words = [cut[i][0] for i in at]
    new = add_noise(
        words,
        lexicon,
        policy,
        stream,
        rate=rate,
        mask_share=mask_share,
        aligned=aligned,
        target_language=target_language,
    )
    switched = {at[i]: candidate for i, candidate in new.words.items()}
    for start, end in new.masked:
        switched |= dict.fromkeys(range(at[start], at[end - 1] + 1), "")
        switched[at[start]] = MASK
    for i in new.inserted:
        switched[at[i]] = f"{MASK} {switched.get(at[i], cut[at[i]][0])}".rstrip()
    return SwitchedLine(
        [text for text, _ in cut],
        switched,
        len(words),
        sum(covered(word, lexicon) for word in words),
        new.n_replaced,
        tuple(sorted([*new.words, *(i for start, end in new.masked for i in range(start, end))])),
    )
