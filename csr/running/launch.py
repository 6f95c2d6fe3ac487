"""fairseq, begun without what its own other tasks import: ``python -m csr.running.launch fairseq_cli.train ...``.

To import fairseq is to import all of its tasks and losses. Two of them, of speech and of sentence labels, import
scikit-learn, scipy.stats and with them pandas: a third of the time that fairseq takes to begin, and none of ours calls
them.
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import inspect
import sys
from collections.abc import Iterator, Sequence
from types import ModuleType
from typing import Any

_UNUSED = ("sklearn", "sklearn.metrics", "scipy.stats")


class _Later(ModuleType):
    """Stands for a module: what is called in it imports it."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)

        def call(*arguments: Any, **options: Any) -> Any:
            return getattr(importlib.import_module(self.__name__), name)(*arguments, **options)

        return call


@contextlib.contextmanager
def unused_later(names: Sequence[str] = _UNUSED) -> Iterator[None]:
    """Within the block, import stand-ins of modules that are not imported yet; afterwards these are as they were."""
    stand_ins: dict[str, ModuleType] = {}
    for name in names:
        if name in sys.modules or not (spec := importlib.util.find_spec(name)):
            continue
        module = sys.modules[name] = stand_ins[name] = _Later(name)
        module.__spec__, module.__path__ = spec, spec.submodule_search_locations or []  # others may look for them
        parent, _, last = name.rpartition(".")
        if parent in stand_ins:
            setattr(stand_ins[parent], last, module)
    try:
        yield
    finally:
        for name in stand_ins:
            del sys.modules[name]


def without_compiler() -> None:
    """Let torch's optimizers work without ``torch._dynamo``, which takes as long to import as torch itself.

    They import it to keep their methods out of what it compiles. Nothing is compiled here.
    """
    from torch import no_grad
    from torch.optim import Adam, Optimizer

    for name in ("add_param_group", "load_state_dict", "state_dict", "zero_grad"):
        setattr(Optimizer, name, inspect.unwrap(getattr(Optimizer, name)))
    setattr(Adam, "step", no_grad()(inspect.unwrap(Adam.step)))  # noqa: B010


def main(arguments: Sequence[str]) -> None:
    """Run one of fairseq's programs."""
    with unused_later():
        program = importlib.import_module(arguments[0])
    without_compiler()
    sys.argv = list(arguments)
    program.cli_main()


if __name__ == "__main__":
    main(sys.argv[1:])
