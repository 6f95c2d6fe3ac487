"""eole with words of its sources switched, anew each epoch: a transform, and eole's own command line.

    python examples/eole_switch.py train --config config.yaml

where config.yaml has, before the transform that cuts text into pieces,

    transforms: [csr_switch, sentencepiece]
    transforms_configs: {csr_switch: {lexicon: de-en.tsv, language: de, target_language: en}}

For stage one, path_src and path_tgt of a corpus are the same file.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

from eole.transforms import register_transform
from eole.transforms.transform import Transform, TransformConfig

from csr import Noise, PoissonSpans, Stream, switch_line
from csr.switching.candidates import Source


class SwitchConfig(TransformConfig):
    lexicon: str = ""
    language: str | None = None
    target_language: str | None = None
    rate: float = 0.35


@register_transform(name="csr_switch")
class Switch(Transform):
    config_model = SwitchConfig

    def _parse_config(self) -> None:
        self.policy = PoissonSpans(self.config.rate)
        self.seen: Counter[tuple[str, int]] = Counter()  # how often a line came, which is its epoch

    def warm_up(self, vocabs: Any = None) -> None:
        super().warm_up(vocabs)
        languages = (self.config.language, self.config.target_language)
        self.lexicon = Source(self.config.lexicon, languages).read(Noise()).cased(languages)

    def apply(self, example: dict[str, Any], is_train: bool = False, stats: Any = None, **rest: Any) -> dict[str, Any]:
        if is_train:
            line = (example["cid"], example["cid_line_number"])
            self.seen[line] += 1
            stream = Stream(max(self.full_config.seed, 0), self.seen[line], 2 * line[1])  # as csr switch draws
            c = self.config
            languages = {"language": c.language, "target_language": c.target_language}
            example["src"] = switch_line(example["src"], self.lexicon, self.policy, stream, **languages).text()
        return example


if __name__ == "__main__":
    from eole.bin.main import main

    main()
