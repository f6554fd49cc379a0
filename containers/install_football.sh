#!/usr/bin/env bash
# Installs Google Research Football's engine for one Python: install_football.sh PYTHON   (`make football`)
#
# PyPI has its source only. The wheel is built from it unpatched, once, into build/wheels; a ready one in the folder
# $FOOTBALL_WHEELS is taken instead. With the system's own Python, Boost comes from its packages; with any other from
# PyPI (cmeel-boost), since the build would take the system's Python headers (football.cmake).
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
python=$1 build=$here/../build
family=$here/../src/partage/envs/grf.py
version=$(PYTHONPATH=$here/../src "$python" -c '
import sys
from partage.config.pins import pins
print(pins(sys.argv[1])["gfootball"])' "$family")
mapfile -t others < <(PYTHONPATH=$here/../src "$python" -c '
import sys
from partage.config.pins import dependencies
print(*[each for each in dependencies(sys.argv[1]) if not each.startswith("gfootball")], sep="\n")' "$family")
minor=$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
own=$(/usr/bin/python3 -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null || true)

case $minor in 3.11 | 3.12) ;; *)
  echo "football: gfootball $version builds with Python 3.11 and 3.12, but $python is $minor: say make PYTHON=python3.12 clean football" >&2
  exit 2 ;;
esac
plays() { "$python" -c "
import importlib.metadata, sys
sys.exit(importlib.metadata.version('gfootball') != '$version')
" 2>/dev/null && "$python" -c 'import gfootball.env' >/dev/null 2>&1; }
if plays; then echo "football: gfootball $version is installed already"; exit; fi

packages=(libsdl2-dev libsdl2-image-dev libsdl2-ttf-dev libsdl2-gfx-dev libgl1-mesa-dev libegl-dev)
[ "$minor" = "$own" ] && packages+=(libboost-python-dev libboost-thread-dev libboost-filesystem-dev libboost-system-dev)
system() {  # the libraries (and, before a build, the compiler), as root, by sudo, or by the user
  packages+=("$@")
  if ! "$python" -c 'import sys, sysconfig; sys.exit(not sysconfig.get_config_var("Py_ENABLE_SHARED"))'; then
    packages+=("libpython$minor")
  fi
  dpkg --status "${packages[@]}" >/dev/null 2>&1 && return
  local install="apt-get update && apt-get install --yes --no-install-recommends ${packages[*]}"
  if ! command -v apt-get >/dev/null; then
    echo "football: no apt-get here; install what your system calls ${packages[*]}, then repeat the command" >&2
  elif [ "$(id -u)" = 0 ]; then sh -c "$install" && return
  elif sudo -n true 2>/dev/null; then sudo sh -c "$install" && return
  else echo "football: system packages are missing; run this, then repeat the command:
  sudo sh -c '$install'" >&2
  fi
  exit 2
}

tag=cp${minor/./}
wheel=$(ls "${FOOTBALL_WHEELS:-$build/wheels}"/gfootball-"$version"-"$tag"-*.whl "$build"/wheels/gfootball-"$version"-"$tag"-*.whl 2>/dev/null | head -1 || true)
if [ -z "$wheel" ]; then
  system build-essential cmake python3-dev
  echo "football: building gfootball $version for Python $minor (about 8 minutes of one core)"
  "$python" -m venv --clear "$build/football"
  . "$build/football/bin/activate"  # the build calls `python3`
  pip install --quiet "setuptools<81" wheel psutil
  if [ "$minor" != "$own" ]; then
    pip install --quiet --no-deps cmeel-boost==1.87.0.1
    export CMAKE_TOOLCHAIN_FILE=$here/football.cmake
  fi
  CMAKE_POLICY_VERSION_MINIMUM=3.5 LDFLAGS=-s \
    pip wheel --quiet --no-deps --no-build-isolation --wheel-dir "$build/wheels" "gfootball==$version"
  deactivate
  wheel=$(ls "$build"/wheels/gfootball-"$version"-"$tag"-*.whl)
fi

# Last and without its dependencies: its pygame would overwrite mpe2's pygame-ce.
"$python" -m pip install --quiet --constraint "$here/../requirements.lock" "${others[@]}"
[ "$minor" = "$own" ] || "$python" -m pip install --quiet --no-deps cmeel-boost==1.87.0.1
"$python" -m pip install --quiet --no-deps --force-reinstall "$wheel"
plays || system
plays || { "$python" -c 'import gfootball.env'; exit 2; }
echo "football: gfootball $version is installed"
