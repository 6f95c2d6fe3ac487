#!/usr/bin/env bash
# Makes .venv with everything the project uses, in the exact versions of constraints.txt; does nothing if it is there.
# Sourced by the other scripts. PYTHON names the interpreter to start from (3.11 or 3.12; default: python3).
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
venv=$root/.venv
stamp=$venv/.csr-installed
wanted=$(cat "$root"/constraints.txt "$root"/setup.cfg "${BASH_SOURCE[0]}" | sha256sum | cut -d' ' -f1)

if [ "$(cat "$stamp" 2>/dev/null)" != "$wanted" ]; then
    python=${PYTHON:-python3}
    if ! "$python" -c 'import sys, venv, ensurepip; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 12))' 2>/dev/null; then
        echo "setup: expected Python 3.11 or 3.12 with the venv module, found $("$python" --version 2>&1 || true);" \
            "name another with PYTHON=/path/to/python3.11" >&2
        exit 2
    fi
    echo "setup: installing into $venv (about 5 minutes the first time)" >&2
    [ -x "$venv/bin/python" ] || "$python" -m venv "$venv"
    pip=("$venv/bin/python" -m pip --disable-pip-version-check -qq --require-virtualenv)
    "${pip[@]}" install -c "$root/constraints.txt" pip
    # fairseq compiles against torch and numpy. Without a build environment of its own it takes the ones we use,
    # instead of downloading a second torch.
    "${pip[@]}" install -c "$root/constraints.txt" torch numpy cython setuptools wheel
    "${pip[@]}" install -c "$root/constraints.txt" --no-build-isolation fairseq-fixed
    "${pip[@]}" install -c "$root/constraints.txt" -e "$root[eval,fast,huggingface,segment,zstd,docs,dev]"
    # fairseq looks for a --user-dir beside its own package: with this link the name alone works from any folder.
    ln -sfn "$root/fairseq_plugins" "$("$venv/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/fairseq_plugins"
    echo "$wanted" >"$stamp"
fi
export PATH=$venv/bin:$PATH
