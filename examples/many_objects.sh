#!/usr/bin/env bash
# A studio's shoot: every folder of photos in SHOOT becomes a project of the same name in OUT.
#
#   examples/many_objects.sh SHOOT OUT [FLAGS OF `meshcli run`...]
#   examples/many_objects.sh shoot out --azimuth 0,120,240
#
# It may be run again at any time: what is finished is skipped. The lists out/done.txt, look.txt and failed.txt say
# what came of each object; look.txt holds the commands to correct, for objects whose sides had to be guessed.
set -u

if [ $# -lt 2 ]; then
    echo "usage: $0 SHOOT OUT [FLAGS...]" >&2
    exit 2
fi
shoot=$1
out=$2
shift 2
mkdir -p "$out" || exit
trap 'rm -f "$out/error.txt"' EXIT
: >"$out/done.txt"
: >"$out/look.txt"
: >"$out/failed.txt"

for photos in "$shoot"/*/; do
    [ -d "$photos" ] || continue
    name=$(basename "$photos")
    for _ in 1 2 3; do
        meshcli run "$out/$name" "$photos" "$@" -q 2>"$out/error.txt" >/dev/null
        code=$?
        [ "$code" -eq 75 ] || break # out of memory: the same command now takes smaller settings
    done
    case $code in
    0) echo "$name" | tee -a "$out/done.txt" ;;
    6) grep '^error:' "$out/error.txt" | sed "s|^error:|$name:|" | tee -a "$out/look.txt" ;;
    130 | 143) exit "$code" ;;
    *) grep '^error:' "$out/error.txt" | sed "s|^error:|$name (exit code $code):|" | tee -a "$out/failed.txt" ;;
    esac
done
[ ! -s "$out/failed.txt" ] && [ ! -s "$out/look.txt" ]
