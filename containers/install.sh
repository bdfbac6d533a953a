#!/bin/sh
# Install what jobs need, inside an image: containers/install.sh, as root, in the project's folder there.
# The Dockerfile and the Apptainer definition both run it. The list of packages is the project's own (install.sh).
set -eu
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq
# speed.compile needs a compiler, provenance git
apt-get install -y -qq --no-install-recommends g++ git >/dev/null
git config --system --add safe.directory '*' # a checkout belongs to its user, not to root
./install.sh /opt/venv '.[workflow,kitchen]'
rm -rf /var/lib/apt/lists/* /root/.cache
