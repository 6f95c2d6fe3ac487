"""What switching puts into text, by its settings: the table of docs/switching.md.

    python scripts/drawn_words.py LEXICON SRC TGT TEXT SOURCE_LANG TARGET_LANG [OPTIONS OF csr switch]

SRC and TGT are parallel, TEXT is any in the target language. Prints, of the words of SRC, the share that may be
switched, is said to be, and is changed; of the candidates drawn the share that stands in TGT; of the other words
replaced the share that becomes a stop word; of the words switched in, those whose form TEXT does not have although it
has the word, first words of lines and words in capitals apart.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter

from csr.files import read_lines, read_parallel
from csr.options import add_options, read_options
from csr.switching.candidates import Source
from csr.switching.lines import switch_line
from csr.switching.settings import Noise
from csr.switching.streams import Stream
from csr.text.stopwords import stop_words
from csr.text.words import segments, tokenize


def measure(arguments: argparse.Namespace) -> dict[str, float]:
    """Switch a text once, with seed 1, and count."""
    noise = read_options(arguments, Noise())
    languages = arguments.source_lang, arguments.target_lang
    lexicon = Source(arguments.lexicon, languages).read(noise).cased()
    own, other = map(stop_words, languages)
    forms = {word for line in read_lines(arguments.text) for word, is_word in segments(line, languages[1]) if is_word}
    known = {form.lower() for form in forms}
    n: Counter[str] = Counter()
    for number, (line, translation) in enumerate(read_parallel(arguments.src, arguments.tgt)):
        opposite = set(tokenize(translation, languages[1]))
        result = switch_line(line, lexicon, noise.make_policy(), Stream(1, 1, 2 * number), language=languages[0])
        n["words"] += result.n_words
        n["covered"] += result.n_covered
        n["switched"] += result.n_replaced
        first = next((i for i, (_, is_word) in enumerate(segments(line, languages[0])) if is_word), -1)
        for i, new in result.switched.items():
            old = result.segments[i]
            n["changed"] += old.lower() != new.lower()
            n["hits"] += new.lower() in opposite
            if old.lower() not in own:
                n["content"] += 1
                n["stops"] += new.lower() in other
            if i != first and not old.isupper() and new.lower() in known:
                n["forms"] += 1
                n["impossible"] += new not in forms
    return {
        "switchable": n["covered"] / n["words"],
        "said switched": n["switched"] / n["words"],
        "changed": n["changed"] / n["words"],
        "in translation": n["hits"] / n["switched"],
        "to stop word": n["stops"] / n["content"],
        "impossible form": n["impossible"] / n["forms"],
    }


def main() -> None:
    """Print the figures, in percent."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("lexicon", "src", "tgt", "text", "source_lang", "target_lang"):
        parser.add_argument(name)
    add_options(parser, Noise())
    found = measure(parser.parse_args())
    print(" | ".join(f"{name} {100 * value:.1f}" for name, value in found.items()))


if __name__ == "__main__":
    sys.exit(main())
