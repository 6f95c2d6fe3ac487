"""Low-resource translation with transformers: restore switched sentences, translate, BLEU.

    python examples/translate.py --model facebook/nllb-200-distilled-600M --pairs train.jsonl --dev dev.jsonl \\
        --source de --target en --lexicon de-en.tsv --out runs/nllb

A row of the files is {"id": 0, "translation": {"de": "...", "en": "..."}}, the form of WMT and OPUS on the hub. The
defaults are the settings of Zan et al.; stage one is left out with --restore-updates 0.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import sacrebleu
import torch
from transformers import AutoModelForSeq2SeqLM, AutoTokenizer, Seq2SeqTrainer, Seq2SeqTrainingArguments, set_seed

from csr.hf import SwitchingCollator
from csr.hf.families import language_id


def read(path: str) -> list[dict[str, Any]]:
    with open(path, encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def train(model: Any, rows: list[dict[str, Any]], collator: SwitchingCollator, out: Path, updates: int, a: Any) -> None:
    arguments = Seq2SeqTrainingArguments(
        output_dir=str(out),
        max_steps=updates,
        per_device_train_batch_size=a.batch,
        learning_rate=a.lr,
        warmup_steps=updates // 10,
        label_smoothing_factor=0.2,
        remove_unused_columns=False,  # the collator reads id and translation
        dataloader_num_workers=a.workers,
        save_steps=a.save_steps,
        seed=a.seed,
        report_to=[],
    )
    trainer = Seq2SeqTrainer(model, arguments, train_dataset=rows, data_collator=collator, callbacks=[collator])
    trainer.train(resume_from_checkpoint=any(out.glob("checkpoint-*")) or None)


def translate(model: Any, tokenizer: Any, texts: list[str], source: str, target: str, beam: int = 5) -> list[str]:
    model.eval()
    out: list[str] = []
    options: dict[str, Any] = {"num_beams": beam}
    if hasattr(tokenizer, "src_lang"):  # mBART and NLLB
        codes = tokenizer.convert_ids_to_tokens([language_id(tokenizer, "language", code) for code in (source, target)])
        tokenizer.src_lang = codes[0]
        # mBART-cc25's decoder starts with the language; the others' with </s>, and the language comes first.
        first = "decoder_start_token_id" if type(tokenizer).__name__.startswith("MBartTok") else "forced_bos_token_id"
        options[first] = tokenizer.convert_tokens_to_ids(codes[1])
    for start in range(0, len(texts), 32):
        batch = tokenizer(texts[start : start + 32], padding=True, truncation=True, return_tensors="pt").to(
            model.device
        )
        options["max_new_tokens"] = 2 * batch["input_ids"].shape[1] + 10
        with torch.no_grad():
            out += tokenizer.batch_decode(model.generate(**batch, **options), skip_special_tokens=True)
    return out


def main(arguments: list[str] | None = None) -> float:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("model", "pairs", "dev", "source", "target", "out"):
        parser.add_argument(f"--{name}", required=True)
    parser.add_argument("--lexicon")
    for name, default in (("restore-updates", 5000), ("updates", 25000), ("batch", 32), ("save-steps", 500)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--lr", type=float, default=3e-5)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--seed", type=int, default=1)
    a = parser.parse_args(arguments)
    set_seed(a.seed)
    tokenizer, model = AutoTokenizer.from_pretrained(a.model), AutoModelForSeq2SeqLM.from_pretrained(a.model)
    rows, dev, out = read(a.pairs), read(a.dev), Path(a.out)
    common = {"source_lang": a.source, "target_lang": a.target, "seed": a.seed, "max_length": 256}
    if a.restore_updates:
        train(
            model,
            rows,
            SwitchingCollator(tokenizer, "restore", a.lexicon, **common),
            out / "restore",
            a.restore_updates,
            a,
        )
    train(model, rows, SwitchingCollator(tokenizer, "translation", **common), out / "translate", a.updates, a)
    model.save_pretrained(out / "model")
    tokenizer.save_pretrained(out / "model")
    sources, references = ([row["translation"][side] for row in dev] for side in (a.source, a.target))
    score = sacrebleu.corpus_bleu(translate(model, tokenizer, sources, a.source, a.target), [references])
    print(score)
    return score.score


if __name__ == "__main__":
    main()
