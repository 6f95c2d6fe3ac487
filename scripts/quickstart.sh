#!/usr/bin/env bash
# Runs the whole comparison, from text to a table and a report.
#   scripts/quickstart.sh                                    on the embedded sample corpus, in runs/quickstart
#   scripts/quickstart.sh train.de train.en de en [RUN]      on your own two files (dev and test are held out of them),
#                                                            in RUN, by default runs/quickstart-de-en; a second corpus
#                                                            of the two languages has runs/quickstart-de-en-2
set -euo pipefail
source "$(dirname "$0")/setup.sh"
case $# in
0)
    run=$root/runs/quickstart
    cd "$root"
    [ -e runs/sample/mono.qab ] || csr sample --pairs 1000 --unpaired 6000 --out runs/sample
    options=(configs/quickstart.yaml)
    ;;
4 | 5)
    for code in "$3" "$4"; do
        [[ $code =~ ^[A-Za-z0-9_]+$ ]] || { echo "quickstart: expected a language code, as in de or de_DE, found '$code'" >&2; exit 2; }
    done
    # A folder knows the files it is of, so that each corpus has its own.
    corpus=$(realpath -- "$1" "$2")
    of_another() { [ -e "$1" ] && [ "$(cat "$1/corpus" 2>/dev/null)" != "$corpus" ]; }
    run=${5:-runs/quickstart-$3-$4}
    if [ $# = 4 ]; then
        for ((n = 2; ; n++)); do
            of_another "$run" || break
            run=runs/quickstart-$3-$4-$n
        done
    elif [ -e "$run/corpus" ] && of_another "$run"; then
        echo "quickstart: $run: expected a new folder or one of these files, found one of" $(cat "$run/corpus") >&2
        exit 2
    fi
    mkdir -p "$run"
    echo "$corpus" >"$run/corpus"
    options=("$root/configs/quickstart_pairs.yaml" --set "data.src=$1" --set "data.tgt=$2")
    options+=(--set "data.source_lang=$3" --set "data.target_lang=$4" --set data.origin=null)
    ;;
*)
    sed -n 's/^#   //p' "$0" >&2
    exit 2
    ;;
esac

csr run "${options[@]}" --out "$run"
