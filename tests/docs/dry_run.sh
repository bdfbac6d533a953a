# Commands of the documentation, looked at and not carried out: options and targets must exist.
set -eu
python=$1 parse=$2
snakemake() {
    [ "$1" = --report ] || "$python" -m snakemake --dry-run "$@"  # there is nothing to report on
}
cld() { "$python" "$parse" cld "$@"; }
python() { if [ "$1" = -m ]; then shift && "$python" "$parse" "$@"; else [ -f "$1" ]; fi; }
torchrun() { while [ "$1" != -m ]; do shift; done; python "$@"; }
make() { command make --dry-run "$@" >/dev/null; }
pip() { [ "$1" = install ]; }
git() { [ "$1" = clone ] || [ "$1" = checkout ]; }
