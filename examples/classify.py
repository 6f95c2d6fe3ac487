"""Zero-shot classification with transformers: train on one language with its words switched, test on another.

    python examples/classify.py nli --model xlm-roberta-base --train mnli.jsonl --test xnli.sw.jsonl \\
        --lexicon en-sw.tsv --language en --labels entailment,neutral,contradiction --out runs/nli
    python examples/classify.py ner --model xlm-roberta-base --train en.jsonl --test sw.jsonl \\
        --lexicon en-sw.tsv --language en --labels O,B-PER,I-PER,B-ORG,I-ORG,B-LOC,I-LOC --out runs/ner

A row is {"id": 0, "premise": "...", "hypothesis": "...", "label": 2} or {"id": 0, "text": "...", "label": 1}; for ner,
{"id": 0, "tokens": ["..."], "labels": [0]}.
"""

from __future__ import annotations

import argparse
import json
from typing import Any

import numpy as np
from transformers import (
    AutoModelForSequenceClassification,
    AutoModelForTokenClassification,
    AutoTokenizer,
    Trainer,
    TrainingArguments,
    set_seed,
)

from csr import Labelled
from csr.hf import SwitchingCollator


def read(path: str) -> list[dict[str, Any]]:
    with open(path, encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def accuracy(predicted: Any) -> dict[str, float]:
    """Share of the labels that are right; of tokens, those at first pieces."""
    known = predicted.label_ids != -100
    return {"accuracy": float(np.mean((predicted.predictions.argmax(-1) == predicted.label_ids)[known]))}


def main(arguments: list[str] | None = None) -> float:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("task", choices=("nli", "ner"))
    for name in ("model", "train", "test", "lexicon", "language", "labels", "out"):
        parser.add_argument(f"--{name}", required=True)
    parser.add_argument("--epochs", type=float, default=3)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--originals", type=float, default=0.5, help="share of the examples that stay as they are")
    parser.add_argument("--seed", type=int, default=1)
    a = parser.parse_args(arguments)
    set_seed(a.seed)
    names = a.labels.split(",")
    ner = a.task == "ner"
    kind = AutoModelForTokenClassification if ner else AutoModelForSequenceClassification
    model, tokenizer = kind.from_pretrained(a.model, num_labels=len(names)), AutoTokenizer.from_pretrained(a.model)
    task = "token_classification" if ner else "sequence_classification"
    common = {"source_lang": a.language, "seed": a.seed, "max_length": 128, "label_names": names if ner else ()}
    collator = SwitchingCollator(tokenizer, task, a.lexicon, noise=Labelled(originals=a.originals), **common)
    clean = SwitchingCollator(tokenizer, task, a.lexicon, noise=Labelled(originals=1.0), **common)  # to test on
    rows = read(a.train)
    updates = int(a.epochs * -(-len(rows) // a.batch))
    options = {"learning_rate": 5e-5, "weight_decay": 0.01, "warmup_steps": updates // 4, "max_steps": updates}
    settings = TrainingArguments(
        output_dir=a.out,
        per_device_train_batch_size=a.batch,
        remove_unused_columns=False,  # the collator reads id and texts
        save_strategy="no",
        seed=a.seed,
        report_to=[],
        **options,
    )
    trainer = Trainer(model, settings, train_dataset=rows, data_collator=collator, callbacks=[collator])
    trainer.train()
    trainer.data_collator = clean
    trainer.compute_metrics = accuracy
    score = trainer.evaluate(read(a.test))["eval_accuracy"]
    print(f"accuracy {score:.3f}")
    return score


if __name__ == "__main__":
    main()
