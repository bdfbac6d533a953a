#!/bin/sh
# Make a virtual environment with the pinned packages: ./install.sh FOLDER REQUIREMENT
# Needs Python 3.11 or newer. Everything else comes from wheels, the library that Open3D wants included.
set -eu
venv=$1
requirement=$2

if [ ! -x "$venv/bin/pip" ]; then
    python=
    for candidate in "${PYTHON:-python3}" python3.14 python3.13 python3.12 python3.11; do
        if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            python=$candidate
            break
        fi
    done
    if [ -z "$python" ]; then
        echo "error: no Python 3.11 or newer found; install one, or name it: make PYTHON=/path/to/python3.11" >&2
        exit 2
    fi
    # Debian and Ubuntu split the venv module's pip into a package of its own.
    if ! "$python" -c 'import ensurepip, venv' 2>/dev/null; then
        package="$("$python" -c 'import sys; print("python%d.%d-venv" % sys.version_info[:2])')"
        if [ "$(id -u)" = 0 ]; then as_root=; else as_root=sudo; fi
        echo "installing the system package $package"
        if ! { $as_root apt-get update -qq && $as_root apt-get install -y -qq "$package"; }; then
            echo "error: $python has no venv module; install the system package $package" >&2
            exit 2
        fi
    fi
    "$python" -m venv "$venv"
fi
"$venv/bin/pip" install --disable-pip-version-check --quiet --constraint requirements.lock --editable "$requirement"
