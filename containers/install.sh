#!/bin/sh
# Fills an image: Python, the suite's packages, one family's. Run as root inside the image that is being built, by
# image.def and by Containerfile alike: install.sh FAMILY, with the checkout's files in /partage.
# Wheels that lie in /wheels are taken before those of the index: bind a folder there to build without a network.
set -eu
family=$1
cd /partage
export DEBIAN_FRONTEND=noninteractive PIP_ROOT_USER_ACTION=ignore PIP_DISABLE_PIP_VERSION_CHECK=1
if ! python3 -c 'import ensurepip, tomllib' 2>/dev/null || [ ! -s /etc/ssl/certs/ca-certificates.crt ]; then
    apt-get update
    apt-get install --yes --no-install-recommends python3 python3-venv ca-certificates
fi
export PIP_CERT=/etc/ssl/certs/ca-certificates.crt
if [ -d /wheels ]; then export PIP_FIND_LINKS=/wheels; fi
[ -x /opt/partage/bin/python ] || python3 -m venv /opt/partage

install() {  # what comes as source is built apart from what the image has
    python3 containers/pins.py "$1" |
        xargs --no-run-if-empty --delimiter='\n' /opt/partage/bin/pip install --no-cache-dir --use-pep517
}

install core
if [ "$family" != core ]; then
    if [ -e "containers/$family.sh" ]; then . "containers/$family.sh"; else install "$family"; fi
fi
rm -rf /var/lib/apt/lists/* /root/.cache
