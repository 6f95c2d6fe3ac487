"""One experiment over sizes of its training text: nested subsets, a run for each, and the backbone that they share."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from csr.data import bitext
from csr.errors import ConfigError
from csr.experiments import stages, translation
from csr.experiments.settings import Backbone
from csr.experiments.translation import Config
from csr.files import read_parallel, sha256, write_json, write_text
from csr.settings import as_mapping, build
from csr.text.forms import normalized

BACKBONE = "backbone"  # the folder of the run that trains the shared one


def size_name(size: int) -> str:
    """The folder of a size's run."""
    return f"size-{size}"


def check(config: Any, sizes: Sequence[int]) -> None:
    """Raise ConfigError for an experiment that has no curve, and for sizes that are none."""
    if not isinstance(config, Config):
        raise ConfigError(f"experiment: expected translation, found {config.experiment}")
    if not (config.data.dev_src and config.data.test_src):
        missing = "dev" if not config.data.dev_src else "test"
        raise ConfigError(f"data.{missing}_src: missing; all sizes are to be tested on the same sentences")
    if list(sizes) != sorted(set(sizes)):
        raise ConfigError(f"--sizes: expected each once, smallest first, found {','.join(map(str, sizes))}")


def write_subsets(config: Config, sizes: Sequence[int], folder: Path, seed: int = 1) -> None:
    """Write the training pairs of each size to ``folder/size-N.LANG``, each subset within the larger ones.

    Pairs are cleaned as ``csr prepare`` does, so that a size is what is trained on, and drawn by the seed. Files that
    are there already are left as they are.

    Raises:
        ConfigError: a size is larger than the corpus.
    """
    data = config.data
    sides = {"source": (data.src, data.dev_src, data.test_src), "target": (data.tgt, data.dev_tgt, data.test_tgt)}
    files = [file for side in sides.values() for file in side if file]
    settings = {"seed": seed, "max_words": data.max_words, "max_ratio": data.max_ratio}
    made_of = {"inputs": {str(file): sha256(file) for file in files}, "settings": settings}
    pairs, _ = bitext.clean(read_parallel(data.src, data.tgt), data.max_words, data.max_ratio)
    held_out = [
        (normalized(src), normalized(tgt))
        for a, b in ((data.dev_src, data.dev_tgt), (data.test_src, data.test_tgt))
        if a and b
        for src, tgt in read_parallel(a, b)
    ]
    pairs = bitext.without_overlap(pairs, held_out)
    if sizes[-1] > len(pairs):
        raise ConfigError(
            f"--sizes: expected at most the {len(pairs):,} pairs of {data.src} that are left after cleaning, found "
            f"{sizes[-1]:,}"
        )
    order = np.random.default_rng(seed).permutation(len(pairs))
    for size in sizes:
        chosen = sorted(order[:size].tolist())
        for side, language in enumerate((data.source_lang, data.target_lang)):
            path = folder / f"{size_name(size)}.{language}"
            text = "".join(f"{pairs[i][side]}\n" for i in chosen)
            if not path.is_file() or path.read_text(encoding="utf-8") != text:  # the times of files decide what is done
                with write_text(path) as out:
                    out.write(text)
    write_json(folder / "subsets.json", made_of | {"sizes": list(sizes)})


def with_subset(config: Config, size: int, out: Path) -> Config:
    """The experiment of one size, with the shared backbone where it is trained on texts of its own."""
    raw = as_mapping(config)
    subset = (out / "text" / size_name(size)).resolve()
    languages = {"src": config.data.source_lang, "tgt": config.data.target_lang}
    raw["data"] |= {side: f"{subset}.{language}" for side, language in languages.items()} | {"folder": None}
    if config.backbone.texts:
        run, plain = (out / BACKBONE).resolve(), as_mapping(Backbone())
        raw["backbone"] |= {name: plain[name] for name in ("texts", "train", "pieces", "max_words")}
        raw["backbone"]["checkpoint"] = str(run / stages.stage_folder("backbone", config.seeds[0]) / "model.pt")
        if not config.backbone.checkpoint:
            files = {"dictionary": str(run / "texts/dict.txt"), "sentencepiece": str(run / "texts/spm.model")}
            raw["backbone"] |= files | {"folder": None, "langs": list(config.langs)}
        if not config.data.monolingual:
            raw["data"]["test_overlap"] = "refuse"  # there is no text left of which it could be said
    return build(raw, Config)


def backbone_config(config: Config) -> Config | None:
    """The experiment whose backbone all sizes and seeds share; None where there is none to be trained beforehand."""
    return dataclasses.replace(config, seeds=config.seeds[:1]) if config.backbone.texts else None


def backbone_until(config: Config) -> list[str]:
    """The steps of the backbone's run that are wanted."""
    names = [step.name for step in translation.steps(config)]
    return [name for name in ("check", f"backbone seed {config.seeds[0]}") if name in names]
