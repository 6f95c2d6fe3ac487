"""An example of each command, shown at the end of its help; a test parses every one."""

from __future__ import annotations

import argparse

EXAMPLES = {
    "run": "csr run configs/restore/multi30k_de_en.yaml --set seeds=[1,2,3] --out runs/multi30k",
    "args": "csr args configs/restore/multi30k_de_en.yaml --stage restore",
    "train": "csr train runs/multi30k --stage restore --seed 1",
    "generate": "csr generate runs/multi30k --arm csr --seed 1",
    "score": "csr score runs/multi30k --arm csr --seed 1",
    "status": "csr status runs/multi30k",
    "back-translate": "csr back-translate runs/multi30k --seed 1",
    "curve": "csr curve configs/low-resource/multi30k_de_en.yaml --sizes 300,1000,3000",
    "check": "csr check --text en=mono.en --test en=test.en --known de=train.de --known en=train.en",
    "report": "csr report runs/de-en runs/it-en --out report.html",
    "translate": "csr translate runs/multi30k < new.de > new.en",
    "transfer": "csr transfer runs/de-en runs/it-en --out runs/transfer",
    "completion": "csr completion bash > ~/.local/share/bash-completion/completions/csr",
    "sample": "csr sample --out sample",
    "prepare": "csr prepare --src train.de.gz --tgt train.en.gz --source-lang de --target-lang en --out data",
    "prepare-text": "csr prepare-text --text de=news.de.xz --text en=news.en.xz --out texts",
    "prepare-nli": "csr prepare-nli --train multinli.train.en.tsv --dev xnli.dev.en.tsv --lang en"
    " --test de=xnli.test.de.tsv --sentencepiece-model mbart/sentence.bpe.model --dict mbart/dict.txt --out nli",
    "prepare-summaries": "csr prepare-summaries --train zh2en.jsonl --source-lang zh --target-lang en --out sums",
    "mixture": "csr mixture --text en 1GB c4-en.*.json.gz --text sw 100MB c4-sw.*.json.gz --out mix",
    "classify": "csr classify runs/ner < sentences.sw > tagged.sw",
    "lexicon vecmap": "csr lexicon vecmap --src train.de --tgt train.en --out de-en.tsv --reverse-out en-de.tsv",
    "lexicon ibm1": "csr lexicon ibm1 --src train.de --tgt train.en --out de-en.tsv --reverse-out en-de.tsv",
    "lexicon align": "csr lexicon align --src train.de --tgt train.en --out de-en.tsv --links de-en.links",
    "lexicon muse": "csr lexicon muse de-en.txt --out de-en.tsv",
    "lexicon import": "csr lexicon import table.txt --out de-en.tsv",
    "lexicon stats": "csr lexicon stats de-en.tsv --src train.de --tgt train.en",
    "lexicon compare": "csr lexicon compare vecmap.tsv ibm1.tsv --src train.de --tgt train.en",
    "lexicon transform": "csr lexicon transform de-en.tsv --invert --out en-de.tsv",
    "lexicon placebo": "csr lexicon placebo de-en.tsv --text train.en --out placebo.tsv",
    "lexicon merge": "csr lexicon merge ibm1.tsv muse.tsv --out de-en.tsv",
    "lexicon pivot": "csr lexicon pivot de-en.tsv en-sw.tsv --out de-sw.tsv",
    "switch": "csr switch --lexicon de-en.tsv --language de --side-by-side < train.de | head",
    "switch-labels": "csr switch-labels ner --lexicon en-sw.tsv --language en --input train --output switched",
    "inspect": "csr inspect runs/multi30k/data/bin --task csr_translation --source-lang de --target-lang en",
    "import-hf": "csr import-hf mbart-large-cc25 mbart.cc25",
    "export-hf": "csr export-hf runs/multi30k exported --arm csr --license cc-by-4.0",
    "trim": "csr trim mbart.cc25 mbart.small --text train.de train.en --lexicon de-en.tsv",
    "strip": "csr strip model.pt small.pt",
    "estimate": "csr estimate configs/restore/mbart_cc25_de_en.yaml",
    "evaluate bleu": "csr evaluate bleu --hyp test.hyp --ref test.en --language en --samples 1000",
    "evaluate chrf": "csr evaluate chrf --hyp test.hyp --ref test.en --language en",
    "evaluate ter": "csr evaluate ter --hyp test.hyp --ref test.en --language en",
    "evaluate comet": "csr evaluate comet --hyp test.hyp --ref test.en --src test.de --model wmt22-comet-da",
    "evaluate rouge": "csr evaluate rouge --hyp test.hyp --ref test.zh",
    "evaluate words": "csr evaluate words --hyp test.hyp --ref test.en --train train.en --language en",
    "evaluate nli": "csr evaluate nli --hyp test.de.hyp --ref test.de.labels",
    "evaluate ner": "csr evaluate ner --hyp pred.tsv --ref gold.tsv",
    "evaluate off-target": "csr evaluate off-target --hyp test.hyp --ref test.en --language en",
    "evaluate significance": "csr evaluate significance --hyp csr.hyp --baseline base.hyp --ref test.en --language en",
    "evaluate matrix": "csr evaluate matrix outputs.tsv --score bleu --language en",
    "evaluate seeds": "csr evaluate seeds runs/multi30k/seed-1/csr/scores.json --key bleu.value",
    "zero-shot finetune": "csr zero-shot finetune ner --checkpoint xlmr/model.pt --data xlmr"
    " --sentencepiece-model xlmr/sentencepiece.bpe.model --train en/train --out runs/ner",
    "zero-shot evaluate": "csr zero-shot evaluate --checkpoint runs/ner/model.pt --data xlmr"
    " --sentencepiece-model xlmr/sentencepiece.bpe.model --test sw=sw/test --out runs/ner",
    "zero-shot masked": "csr zero-shot masked --checkpoint checkpoint_best.pt --data mix/bin --languages en,sw",
    "zero-shot tables": "csr zero-shot tables runs/en_sw runs/en_xh",
    "distance": "csr distance --checkpoint runs/multi30k/seed-1/csr/model.pt --data runs/multi30k/data/bin",
    "dynamics": "csr dynamics runs/multi30k/seed-1/csr",
    "domain": "csr domain --pretraining de=news.de en=news.en --downstream de=train.de en=train.en"
    " --checkpoint backbone.pt --sentencepiece-model spm.model --out domain",
}


class Formatter(argparse.HelpFormatter):
    """Leaves examples as they are, to be copied."""

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        before, mark, example = text.partition("Example: ")
        if not mark:
            return super()._fill_text(text, width, indent)
        head = [super()._fill_text(before.strip(), width, indent), ""] if before.strip() else []
        return "\n".join([*head, f"{indent}Example:", f"{indent}  {example}"])


def add_examples(parser: argparse.ArgumentParser, name: str) -> None:
    """Give a command and those below it their examples."""
    parser.formatter_class = Formatter
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for below, child in action.choices.items():
                add_examples(child, f"{name} {below}")
    if name in EXAMPLES and "Example: " not in (parser.epilog or ""):
        example = EXAMPLES[name].replace("%", "%%")
        parser.epilog = " ".join(filter(None, [parser.epilog, f"Example: {example}"]))
