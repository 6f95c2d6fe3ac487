"""The scripts in examples/ run: a few updates of models as small as can be, with trainers of transformers."""

from __future__ import annotations

import importlib.util
import json
import shutil
from pathlib import Path

import pytest
import torch
from hf_models import DE, EN, make_model, write_lexicon

pytest.importorskip("transformers")
pytest.importorskip("accelerate")
EXAMPLES = Path(__file__).parents[1] / "examples"
PAIRS = [{"id": i, "translation": {"de": DE[i % 3], "en": EN[i % 3]}} for i in range(20)]


def example(name: str):
    """A script as a module."""
    spec = importlib.util.spec_from_file_location(f"example_{name}", EXAMPLES / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def write_rows(path: Path, rows: list[dict]) -> str:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


@pytest.fixture(autouse=True)
def one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.mark.parametrize("kind", ["mbart50", "nllb"])
def test_translation_in_two_stages(tmp_path, kind, monkeypatch):
    """Killed in the second epoch of stage one and started again, a run sees the batches of one that was not."""
    translate = example("translate")
    lexicon = write_lexicon(tmp_path / "de-en.tsv")
    rows, dev = write_rows(tmp_path / "rows.jsonl", PAIRS), write_rows(tmp_path / "dev.jsonl", PAIRS[:2])
    model = make_model(kind, tmp_path / "model")
    seen: list[list] = []

    class Recorder(translate.Seq2SeqTrainer):
        def training_step(self, model, inputs, *rest):
            seen.append(inputs["input_ids"].tolist())
            return super().training_step(model, inputs, *rest)

    monkeypatch.setattr(translate, "Seq2SeqTrainer", Recorder)
    command = ["--model", model, "--pairs", rows, "--dev", dev, "--source", "de", "--target", "en", "--workers", "0"]
    command += ["--lexicon", str(lexicon), "--restore-updates", "6", "--updates", "2", "--batch", "5"]
    out = tmp_path / "out"
    score = translate.main([*command, "--out", str(out), "--save-steps", "1"])
    assert 0 <= score <= 100
    whole = [*seen]
    assert len(whole) == 8  # four batches an epoch: one and a half in stage one
    assert len(whole[0]) == 10  # both sides of five pairs
    assert len(whole[7]) == 5
    assert (out / "model/config.json").is_file()

    seen.clear()
    shutil.rmtree(out / "restore/checkpoint-6")  # what is left is of update 5, the first of the second epoch
    shutil.rmtree(out / "translate")
    translate.main([*command, "--out", str(out), "--save-steps", "1"])
    assert seen == whole[5:]
    assert whole[0] != whole[4]


@pytest.mark.parametrize("task", ["nli", "ner"])
def test_zero_shot_classification(tmp_path, task):
    write_lexicon(tmp_path / "de-en.tsv")
    if task == "nli":
        rows = [{"id": i, "premise": DE[i % 3], "hypothesis": DE[i // 3 % 3], "label": i % 2} for i in range(12)]
        labels = "yes,no"
    else:
        rows = [
            {"id": i, "tokens": (words := DE[i % 3].split()), "labels": [0] * (len(words) - 1) + [1]} for i in range(12)
        ]
        labels = "O,B-X,I-X"
    files = write_rows(tmp_path / "train.jsonl", rows), write_rows(tmp_path / "test.jsonl", rows[:6])
    command = [task, "--model", make_model("xlmr", tmp_path / "model"), "--train", files[0], "--test", files[1]]
    command += ["--lexicon", str(tmp_path / "de-en.tsv"), "--language", "de", "--labels", labels]
    score = example("classify").main([*command, "--out", str(tmp_path / "out"), "--epochs", "1", "--batch", "6"])
    assert 0 <= score <= 1


def test_a_curriculum_for_decoders_switches_words_then_sentences(tmp_path):
    (tmp_path / "de").write_text("Der Hund sieht.\nDie Katze trinkt.\n\nEin Kind liest.\n")
    (tmp_path / "en").write_text("The dog sees.\nThe cat drinks.\n\nA child reads.\n")
    lexicon = write_lexicon(tmp_path / "de-en.tsv")
    command = ["--source", str(tmp_path / "de"), "--target", str(tmp_path / "en"), "--languages", "de,en"]
    example("curriculum").main([*command, "--lexicon", str(lexicon), "--out", str(tmp_path / "out"), "--rate", "1"])
    rows = {
        stage: [json.loads(line)["text"] for line in (tmp_path / f"out/{stage}.jsonl").read_text().splitlines()]
        for stage in ("word", "sentence", "plain")
    }
    assert rows == {
        "word": ["Der Dog sees.\nDie Cat trinkt.", "Ein Child reads."],
        "sentence": [
            "Der Hund sieht.\nThe cat drinks.", "The dog sees.\nDie Katze trinkt.", "Ein Kind liest.", "A child reads.",
        ],
        "plain": [
            "Der Hund sieht.\nDie Katze trinkt.", "The dog sees.\nThe cat drinks.", "Ein Kind liest.", "A child reads.",
        ],
    }  # fmt: skip
