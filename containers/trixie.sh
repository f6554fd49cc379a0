#!/usr/bin/env bash
# All tests on Debian 13 and its Python 3.13, on another Debian, as root: containers/trixie.sh FOLDER [pytest's options]
# What is committed is tested. Debian 13 and the packages of the lock file are put into FOLDER the first time: 7 GB, as
# PyPI's torch brings CUDA. Needs mmdebstrap.
set -euo pipefail
cd "$(dirname "$0")/.."
mkdir -p "$1"
root=$(realpath "$1")
shift
if [ ! -e "$root/etc/debian_version" ]; then
    mmdebstrap --variant=minbase --include=python3-venv,git,make,ca-certificates trixie "$root"
fi
cp -L /etc/resolv.conf /etc/hosts "$root/etc/"
cp /etc/ssl/certs/ca-certificates.crt "$root/etc/ssl/certs/"
rm -rf "$root/root/partage"
git clone --quiet . "$root/root/partage"

# mounts of its own, which end with it
exec unshare --mount -- bash -euc '
    root=$1
    shift
    for folder in proc dev sys; do mount --rbind "/$folder" "$root/$folder"; done
    exec chroot "$root" /usr/bin/env -i HOME=/root PATH=/usr/sbin:/usr/bin:/sbin:/bin LANG=C.UTF-8 bash -euc "
        cd /root/partage
        ln -sfn /opt/partage-venv .venv
        if ! cmp -s requirements.lock /opt/requirements.lock; then
            python3 -m venv --clear /opt/partage-venv
            .venv/bin/pip install --quiet --requirement requirements.lock
            cp requirements.lock /opt/
        fi
        .venv/bin/pip install --quiet --no-deps --no-build-isolation --editable .
        .venv/bin/python -m pytest \"\$@\"" test "$@"
' bash "$root" "$@"
