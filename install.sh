#!/bin/sh
# Make a virtual environment with the pinned packages: ./install.sh FOLDER REQUIREMENT, as '.[workflow,kitchen]'
# Needs Python 3.11.4 or newer. System packages that are missing are installed with apt-get, as root or through
# sudo; without either, it says which they are (or use conda: environment.yml brings them along).
set -eu
venv=$1
requirement=$2

install_system_packages() {
    if [ "$(id -u)" = 0 ]; then as_root=; else as_root=sudo; fi
    echo "installing system packages: $*"
    export DEBIAN_FRONTEND=noninteractive
    if ! { $as_root apt-get update -qq && $as_root apt-get install -y -qq --no-install-recommends "$@" >/dev/null; }; then
        echo "error: system packages are missing; install them: $*" >&2
        exit 2
    fi
}

if [ ! -x "$venv/bin/pip" ]; then
    python=
    for candidate in "${PYTHON:-python3}" python3.14 python3.13 python3.12 python3.11; do
        if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11, 4))' 2>/dev/null; then
            python=$candidate
            break
        fi
    done
    if [ -z "$python" ]; then
        echo "error: no Python 3.11.4 or newer found; install one, or name it: make PYTHON=/path/to/python3.11" >&2
        exit 2
    fi
    # Debian and Ubuntu split what venv needs into a package of its own.
    if ! "$python" -c 'import ensurepip, venv' 2>/dev/null; then
        install_system_packages "$("$python" -c 'import sys; print("python%d.%d-venv" % sys.version_info[:2])')"
    fi
    "$python" -m venv "$venv"
fi
"$venv/bin/pip" install --disable-pip-version-check --quiet --use-pep517 --constraint requirements.lock --editable "$requirement"

# Open3D is linked against libraries of the desktop that a server lacks; it uses none of them here.
if ! "$venv/bin/python" -c 'import data_prep.kitchen.open3d_import as o; o.import_open3d()' 2>/dev/null; then
    install_system_packages libegl1 libgl1 libx11-6 libgomp1
    "$venv/bin/python" -c 'import data_prep.kitchen.open3d_import as o; o.import_open3d()'
fi
