"""Fields of a fairseq task made from a settings dataclass of csr, so that each setting is declared once."""

import math
from argparse import Namespace
from collections.abc import Callable, Sequence
from dataclasses import field
from typing import Any, Optional, TypeVar, get_type_hints

from csr.options import chosen, described, plain_type, read_options

C = TypeVar("C")
S = TypeVar("S")

# fairseq has one value for all options of a name, whatever they are of: a --temperature left open goes to its
# generation too, which takes numbers alone.
_OPEN: dict[Any, Any] = {float: math.nan}


def settings_fields(defaults: Any, names: Sequence[str] = ()) -> Callable[[type[C]], type[C]]:
    """A class decorator that adds the settings, or those named, as fields with these defaults.

    It goes below ``@dataclass``; ``read_fields`` gives the settings back. Lists and choices are plain text there: a
    checkpoint keeps the fields, and is read without running code.
    """
    hints = get_type_hints(type(defaults))

    def add(cls: type[C]) -> type[C]:
        for item in chosen(defaults, names):
            kind, is_open, _ = plain_type(hints[item.name])
            default = getattr(defaults, item.name)
            metadata = {"help": described(item, default).replace("%", "%%")}
            if isinstance(default, tuple):
                default = ",".join(default)
            default = _OPEN.get(kind) if default is None else default
            setattr(cls, item.name, field(default=default, metadata=metadata))
            cls.__annotations__[item.name] = Optional[kind] if is_open else kind
        return cls

    return add


def read_fields(cfg: Any, defaults: S, names: Sequence[str] = ()) -> S:
    """The settings that the fields of a task give, the others as in ``defaults``; see ``read_options``."""
    values = {item.name: getattr(cfg, item.name) for item in chosen(defaults, names)}
    is_open = {name for name, value in values.items() if isinstance(value, float) and math.isnan(value)}
    return read_options(Namespace(**values | dict.fromkeys(is_open)), defaults, names)
