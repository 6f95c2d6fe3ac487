"""Labels of texts, of pairs of texts or of tokens, by a model in a Hugging Face folder."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from csr.backbone.generation import MAX_TOKENS, batches, load
from csr.data.ner import windows
from csr.errors import DataError
from csr.files import PathLike, read_object
from csr.text.forms import normalized

if TYPE_CHECKING:
    import torch


class Label(NamedTuple):
    """What a model says of a text or of a token."""

    name: str
    probability: float


def best_labels(logits: torch.Tensor, names: Sequence[str]) -> list[Label]:
    """The most probable label of each row of logits [n, n_labels]."""
    best = logits.softmax(1).max(1)
    return [Label(names[i], p) for i, p in zip(best.indices.tolist(), best.values.tolist(), strict=True)]


class ExportedLabeller:
    """A model that ``csr export-hf`` wrote, or another one of the same classes, with its tokenizer.

    Attributes:
        tags: it labels tokens, not texts.

    Raises:
        DataError: the folder holds another model, or a damaged one.
    """

    def __init__(self, folder: PathLike, device: str | None = None) -> None:
        kinds = read_object(Path(folder, "config.json")).get("architectures") or [""]
        self.tags = str(kinds[0]).endswith("ForTokenClassification")
        if not self.tags and not str(kinds[0]).endswith("ForSequenceClassification"):
            raise DataError(f"{folder}: expected a model that labels texts or tokens, found {kinds[0] or 'another'}")
        kind = "AutoModelForTokenClassification" if self.tags else "AutoModelForSequenceClassification"
        self._tokenizer, self._model = load(folder, kind, device)
        self._names = [self._model.config.id2label[i] for i in range(self._model.config.num_labels)]

    def labels(self, rows: Sequence[Sequence[str]]) -> list[Label]:
        """A label for each text, or pair of texts; what is longer than the model reads is cut."""
        texts = [list(map(normalized, row)) for row in rows]
        ids = [self._tokenizer(*row, truncation=True)["input_ids"] for row in texts]
        return [best_labels(logits, self._names)[0] for logits in self._logits(ids)]

    def tagged(self, sentences: Sequence[Sequence[str]]) -> list[list[Label]]:
        """A tag for each token, read at its first piece; long sentences are read in overlapping runs."""
        tokenizer, limit = self._tokenizer, self._tokenizer.model_max_length - 2
        unknown = [tokenizer.unk_token_id]
        runs: list[tuple[int, list[int], list[int]]] = []  # the sentence, its ids, and the places that get a label
        for number, tokens in enumerate(sentences):
            ids = [tokenizer(normalized(token), add_special_tokens=False)["input_ids"] or unknown for token in tokens]
            for start, end, first, last in windows(list(map(len, ids)), limit):
                row, places = [tokenizer.cls_token_id], []
                for i in range(start, end):
                    places += [len(row)] if first <= i < last else []
                    row += ids[i][:limit]
                runs.append((number, [*row, tokenizer.sep_token_id], places))
        found: list[list[Label]] = [[] for _ in sentences]
        for (number, _, places), logits in zip(runs, self._logits([row for _, row, _ in runs]), strict=True):
            found[number] += best_labels(logits[places], self._names)
        return found

    def _logits(self, rows: Sequence[Sequence[int]]) -> list[Any]:
        """Logits of each row of ids: [1, n_labels] of a text, [n_ids, n_labels] of tokens."""
        import torch
        from tqdm import tqdm

        found: list[Any] = [None] * len(rows)
        wanted = list(batches(list(map(len, rows)), MAX_TOKENS[self._model.device.type]))
        for batch in tqdm(wanted, desc="labels", unit="batch", disable=None):
            inputs = self._tokenizer.pad({"input_ids": [list(rows[i]) for i in batch]}, return_tensors="pt")
            with torch.inference_mode():
                logits = self._model(**inputs.to(self._model.device)).logits.float().cpu()
            for i, row in zip(batch, logits, strict=True):
                found[i] = row if self.tags else row[None]
        return found
