#!/usr/bin/env bash
# Runs the whole comparison, from text to a table and a report.
#   scripts/quickstart.sh                                    on the embedded sample corpus
#   scripts/quickstart.sh train.de train.en de en [RUN]      on your own two files (dev and test are held out of them)
set -euo pipefail
source "$(dirname "$0")/setup.sh"
run=${5:-runs/quickstart}
options=(configs/quickstart.yaml)
case $# in
0)
    run=$root/$run
    cd "$root"
    [ -e runs/sample/train.qaa ] || csr sample --out runs/sample
    ;;
4 | 5)
    # The sample's own dev and test files make way for sentences held out of the files given, its pieces for more.
    options+=(--set data.pieces=8000 --set data.folder=null)
    for file in dev_src dev_tgt test_src test_tgt; do options+=(--set "data.$file=null"); done
    options+=(--set "data.src=$1" --set "data.tgt=$2" --set "data.source_lang=$3" --set "data.target_lang=$4")
    options[0]=$root/configs/quickstart.yaml
    ;;
*)
    sed -n 's/^#   //p' "$0" >&2
    exit 2
    ;;
esac

csr run "${options[@]}" --out "$run"
