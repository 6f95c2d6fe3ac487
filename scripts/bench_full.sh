#!/usr/bin/env bash
# Runs the benchmarks whose figures are in benchmarks/, on real text, and makes docs/performance.md of them.
#   scripts/bench_full.sh DATA EFLOMAL_ALIGN FAST_ALIGN VECMAP BEFORE RUN [NAME ...]
# DATA has folders of gzipped text (multi30k, tatoeba-de-en, ntrex, xnli, align-en-fr, align-ro-en); BEFORE is a checkout
# of commit db6141f; RUN is a finished run of a translation experiment, whose test set is decoded. With names, only these
# are run. It takes an hour or two on two cores; growth needs 16 GiB.
set -euo pipefail
if [ $# -lt 6 ]; then
    sed -n 's/^#   //p' "$0" >&2
    exit 2
fi
data=$1 eflomal=$2 fast_align=$3 vecmap=$4 before=$5 run=$6
shift 6
only=" $* "
cd "$(dirname "$0")/.."
export PYTHONPATH=$PWD
unset PYTHONDONTWRITEBYTECODE # users have compiled modules
mkdir -p benchmarks
bench() { # NAME SCRIPT ARGUMENTS...
    local name=$1 script=$2
    shift 2
    if [ "$only" = "  " ] || [[ $only == *" $name "* ]]; then
        echo "$name"
        python "scripts/bench_$script.py" --json "benchmarks/$name.json" "$@"
    fi
}
pairs() { echo "--src $data/$1/train.$2.gz --tgt $data/$1/train.$3.gz"; }

bench startup startup --experiment configs/quickstart.yaml
bench prepare prepare $(pairs multi30k de en) --languages de en --peer "$before"
bench prepare-tatoeba prepare $(pairs tatoeba-de-en de en) --languages de en --peer "$before"
bench align align --src "$data"/{multi30k/train.en.gz,ntrex/test.en.gz,xnli/dev.en.tsv.gz} \
    --tgt "$data"/{multi30k/train.fr.gz,ntrex/test.fr.gz,xnli/dev.fr.tsv.gz} \
    --gold "$data/align-en-fr/dev" --languages en fr --peer "$eflomal"
bench align-ro-en align --src "$data/ntrex/test.ro.gz" --tgt "$data/ntrex/test.en.gz" \
    --gold "$data/align-ro-en/test" --languages ro en --peer "$eflomal"
bench ibm1 ibm1 $(pairs tatoeba-de-en de en) --pairs 50000 200000 --peer "$fast_align"
OMP_NUM_THREADS=2 NUMBA_NUM_THREADS=2 bench vecmap vecmap --peer "$vecmap"
bench switching switching
bench pretraining pretraining
bench decoding decoding "$run" --arm baseline
bench training training
bench hf hf
bench evaluation evaluation
bench growth growth $(pairs multi30k de en) --languages de en
python scripts/bench.py --page
