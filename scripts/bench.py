"""All benchmarks: run in their small form, and the page of what was measured.

    python scripts/bench.py [--only NAME ...] [--peer NAME=PATH ...]    in under five minutes, on two cores
    python scripts/bench.py --page                                      makes docs/performance.md

Each writes NAME.small.json into the folder. The page is made of NAME.json, the figures of the last full run, which
``scripts/bench_full.sh`` makes. A peer is what a benchmark is measured beside, where it is no part of the environment:
``align=`` eflomal-align, ``ibm1=`` fast_align, ``vecmap=`` the folder of the published scripts, ``prepare=`` another
checkout. Without its peer a benchmark measures this project alone.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from pathlib import Path

from bench_common import ROOT
from bench_page import page

from csr.files import write_text


def main() -> int:
    """Run the benchmarks, or make the page; 1 if a benchmark failed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks", metavar="FOLDER", help="(default: benchmarks)")
    parser.add_argument("--only", nargs="+", metavar="NAME", help=f"of {', '.join(benchmarks())}")
    parser.add_argument("--peer", action="append", default=[], metavar="NAME=PATH", help="what to measure beside")
    parser.add_argument("--page", action="store_true", help="make docs/performance.md")
    arguments = parser.parse_args()
    if arguments.page:
        if all(path.name.endswith(".small.json") for path in arguments.out.glob("*.json")):
            parser.error(f"--page: expected the results of scripts/bench_full.sh in {arguments.out}, found none")
        with write_text(ROOT / "docs/performance.md") as stream:
            stream.write(page(arguments.out))
        return 0
    scripts = benchmarks()
    if wrong := [name for name in arguments.only or () if name not in scripts]:
        parser.error(f"--only: expected {', '.join(scripts)}, found {', '.join(wrong)}")
    peers = dict(peer.split("=", 1) for peer in arguments.peer)
    arguments.out.mkdir(exist_ok=True)
    failed = []
    for name in arguments.only or scripts:
        command = [sys.executable, str(scripts[name]), "--small", "--json", str(arguments.out / f"{name}.small.json")]
        command += ["--peer", peers[name]] if name in peers else []
        began = time.perf_counter()
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
        print(f"{name}: {time.perf_counter() - began:.0f} s", flush=True)
        if done.returncode:
            failed.append(name)
            print("    " + "\n    ".join(done.stdout.strip().splitlines()[-5:]), flush=True)
    print(f"{len(failed)} failed" + (f": {', '.join(failed)}" if failed else ""))
    return int(bool(failed))


def benchmarks() -> dict[str, Path]:
    """The scripts that have a small form, by name."""
    found = {path.stem.removeprefix("bench_"): path for path in sorted(ROOT.glob("scripts/bench_*.py"))}
    return {
        name: path for name, path in found.items() if "arguments_of(" in path.read_text("utf-8") and name != "common"
    }


if __name__ == "__main__":
    sys.exit(main())
