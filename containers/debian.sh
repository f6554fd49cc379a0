#!/usr/bin/env bash
# Apptainer, mmdebstrap and SLURM on a Debian 12 that is thrown away afterwards (CI), as root: what `make test-containers`
# and `make test-slurm` need. Elsewhere install them as your system does it.
#
# Debian 12 has no Apptainer. Debian's own archive has one that is built for a newer C library: its programs get that
# library beside them, and nothing of Debian 12 is replaced.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq
apt-get install -y -qq --no-install-recommends mmdebstrap slurmctld slurmd slurm-client ca-certificates \
    patchelf squashfs-tools squashfuse fuse-overlayfs fuse3 uidmap >/dev/null
if command -v apptainer >/dev/null; then exit; fi

mkdir -p "$work"/lists/partial "$work"/cache/archives/partial "$work"/parts
mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' 'Codename: bookworm' | head -n 1)
for suite in trixie sid; do
    echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $mirror $suite main"
done >"$work/sources.list"
cat >"$work/apt.conf" <<CONF
Dir::Etc::SourceList "$work/sources.list";
Dir::Etc::SourceParts "$work/parts";
Dir::State::Lists "$work/lists";
Dir::Cache "$work/cache";
APT::Sandbox::User "root";
CONF
cd "$work"
APT_CONFIG=$work/apt.conf apt-get update -qq
APT_CONFIG=$work/apt.conf apt-get download -qq apptainer/sid libc6/trixie libseccomp2/trixie libsqlite3-0/trixie

home=/opt/apptainer parts=/usr/lib/x86_64-linux-gnu/apptainer
mkdir -p "$home/lib" /var/lib/apptainer/mnt/session
for package in libc6 libseccomp2 libsqlite3-0; do dpkg -x "$package"_*.deb libraries; done
cp -a libraries/usr/lib/x86_64-linux-gnu/*.so* "$home/lib/"
dpkg -x apptainer_*.deb apptainer
for program in usr/bin/apptainer "${parts#/}/bin/starter"; do
    patchelf --set-interpreter "$home/lib/ld-linux-x86-64.so.2" --force-rpath --set-rpath "$home/lib" "apptainer/$program"
done
cp -a apptainer/usr/bin/apptainer /usr/bin/
rm -rf "$parts" && cp -a "apptainer$parts" "$parts"
cp -an apptainer/etc/apptainer /etc/
# a root that may not do everything (in a container or a small virtual machine) can run images and build them
apptainer config global --set "root default capabilities" file
for file in /etc/subuid /etc/subgid; do grep -q '^root:' "$file" || echo root:100000:65536 >>"$file"; done
apptainer --version
