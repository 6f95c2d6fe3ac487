#!/usr/bin/env bash
# Runs the tests of csr.hf with transformers 5 and datasets 5, which .venv cannot hold beside COMET, and the
# examples for trl and eole: in a small environment of its own, .venv-huggingface, that takes torch and all else from
# .venv. Arguments go to pytest.
set -euo pipefail
source "$(dirname "$0")/setup.sh"
cd "$root"
small=$root/.venv-huggingface
wanted=$(cat "$stamp" "${BASH_SOURCE[0]}" | sha256sum | cut -d' ' -f1)
if [ "$(cat "$small/.installed" 2>/dev/null)" != "$wanted" ]; then
    "$venv/bin/python" -m venv --clear "$small"
    packages=$("$small/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
    "$venv/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))' >"$packages/csr-venv.pth"
    pip=("$small/bin/python" -m pip --disable-pip-version-check -qq)
    # pip sees what .venv holds too, and says that COMET wants older versions: COMET is not used here.
    "${pip[@]}" install transformers==5.24.0 datasets==5.2.0 accelerate==1.15.0 numpy==2.3.5 trl==1.16.0
    "${pip[@]}" install --no-deps eole==0.6.4 # its reader of corpora needs none of what its models need
    # fairseq brings a torchaudio of another torch, which does not load; transformers imports it if it is there.
    echo '"""A stand-in for a package that does not load."""' >"$packages/torchaudio.py"
    echo "$wanted" >"$small/.installed"
fi
PYTHONPATH=$root "$small/bin/python" -m pytest -n 0 tests/test_hf_collator.py tests/test_hf_examples.py \
    tests/test_hf_processes.py "$@"
