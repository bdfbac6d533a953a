# Commands of the documentation, written down instead of carried out; of the others the files must exist.
set -eu
note() { echo "${*@Q}" >>"$noted"; }
snakemake() { note snakemake "$@"; }
cld() { note cld "$@"; }
python() { if [ "$1" = -m ]; then shift && note "$@"; else [ -f "$1" ]; fi; }
torchrun() { while [ "$1" != -m ]; do shift; done; python "$@"; }
make() { command make --dry-run "$@" >/dev/null; }
pip() { [ "$1" = install ]; }
git() { [ "$1" = clone ] || [ "$1" = checkout ]; }
