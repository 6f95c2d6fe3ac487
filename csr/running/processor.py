"""What Linux says of the processor."""

from __future__ import annotations

import re
from pathlib import Path

CPUINFO = Path("/proc/cpuinfo")


def described(field: str, cpuinfo: Path = CPUINFO) -> str:
    """A field of the first processor, such as ``model name`` or ``flags``; empty where there is none."""
    text = cpuinfo.read_text(encoding="utf-8", errors="replace") if cpuinfo.is_file() else ""
    found = re.search(rf"^{re.escape(field)}\s*:(.*)$", text, re.MULTILINE)
    return found[1].strip() if found else ""
