"""Make a lexicon from every source and start on one corpus, judge each the same way, and print a table in Markdown.

    python scripts/bench_lexicons.py train.de train.en dev.de dev.en --dictionary de-en.txt --out FOLDER

Every other word of the dictionary is the seed of ``--start seed``; the rest is the gold dictionary of all rows.
word2vec is trained once, and its vectors serve all starts. Coverage and co-occurrence are of the dev set. Seconds are
of the processor, summed over threads; memory is the peak of the process that made the lexicon.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

from bench_common import CommandFailed, csr_command, measured

from csr.induction import embeddings, quality
from csr.induction.dictionaries import read_gold
from csr.lexicon import Lexicon, read_lexicon, write_lexicon

HEADER = (
    "lexicon",
    "coverage type / token",
    "co-occurrence P@1",
    "gold coverage",
    "gold P@1 / 5",
    "processor s",
    "MiB",
    "by itself",
)


def row(name: str, out: Path, dev: tuple[str, str], languages: tuple[str, str], gold: Lexicon | None) -> list[str]:
    """Judge one lexicon."""
    lexicon = read_lexicon(out)
    found = quality.stats(lexicon, quality.read_bitext(*dev, *languages), gold=gold)
    text, judged = found["corpus"], found.get("gold")
    return [
        name,
        f"{text['type_coverage']:.3f} / {text['token_coverage']:.3f}",
        f"{text['precision@1']:.3f}",
        f"{judged['coverage']:.3f}" if judged else "–",
        f"{judged['precision@1']:.3f} / {judged['precision@5']:.3f}" if judged else "–",
    ]


def own_score(out: Path) -> str:
    """What the lexicon's sidecar says about it without gold data."""
    scores = json.loads(Path(f"{out}.json").read_text())["quality"]
    if "round_trip" not in scores:
        return ""
    chosen = f"chose {scores['start']}; " if scores["starts"] else ""
    warned = "; warned" if scores["warning"] else ""
    return f"{chosen}{scores['cooccurrence_precision']:.3f}, chance {scores['cooccurrence_by_chance']:.3f}{warned}"


def main() -> None:
    """Parse the command line, make the lexicons and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("src", "tgt", "dev_src", "dev_tgt"):
        parser.add_argument(name)
    parser.add_argument("--dictionary", required=True)
    parser.add_argument("--source-lang", required=True)
    parser.add_argument("--target-lang", required=True)
    parser.add_argument(
        "--words", type=int, metavar="N", help="map the N most frequent words of each side (default: all)"
    )
    parser.add_argument("--out", type=Path, required=True, help="folder for vectors and lexicons")
    arguments = parser.parse_args()
    folder, dev = arguments.out, (arguments.dev_src, arguments.dev_tgt)
    languages = arguments.source_lang, arguments.target_lang
    folder.mkdir(parents=True, exist_ok=True)

    dictionary = read_gold(arguments.dictionary)
    words = list(dictionary.entries)
    seed, gold = dictionary.restricted(set(words[::2])), dictionary.restricted(set(words[1::2]))
    write_lexicon(seed, folder / "seed.tsv")
    write_lexicon(dictionary, folder / "dictionary.tsv")

    vectors = [folder / "src.vec", folder / "tgt.vec"]
    began = time.process_time()
    for text, path, language in zip((arguments.src, arguments.tgt), vectors, languages, strict=True):
        trained = embeddings.train(text, language=language)
        kept = embeddings.Embeddings(trained.words[: arguments.words], trained.vectors[: arguments.words])
        embeddings.write_embeddings(kept, path)
    print(f"word2vec: {time.process_time() - began:.0f} processor seconds for both sides\n")

    corpus = ["--src", arguments.src, "--tgt", arguments.tgt]
    corpus += ["--source-lang", languages[0], "--target-lang", languages[1]]
    vecmap = ["vecmap", *corpus, "--src-embeddings", str(vectors[0]), "--tgt-embeddings", str(vectors[1])]
    commands = {
        "vecmap unsupervised": [*vecmap, "--start", "unsupervised"],
        "vecmap identical": [*vecmap, "--start", "identical"],
        "vecmap numerals": [*vecmap, "--start", "numerals"],
        "vecmap seed": [*vecmap, "--start", "seed", "--seed-dictionary", str(folder / "seed.tsv")],
        "vecmap auto": vecmap,
        "ibm1": ["ibm1", *corpus],
        "align": ["align", *corpus],
    }
    print(*HEADER, sep=" | ")
    print(*["---"] * len(HEADER), sep=" | ", flush=True)
    for name, command in commands.items():
        out = folder / f"{name.replace(' ', '-')}.tsv"
        try:
            usage = measured(csr_command("lexicon", *command, "--out", str(out)))
        except CommandFailed:
            print(f"{name} | not possible", flush=True)
            continue
        used = f"{usage.cpu:.0f}", f"{usage.mib:,.0f}"
        print(*row(name, out, dev, languages, gold), *used, own_score(out), sep=" | ", flush=True)
    print(*row("dictionary", folder / "dictionary.tsv", dev, languages, None), "–", "–", "", sep=" | ")


if __name__ == "__main__":
    main()
