#!/bin/sh
# containers/build.sh FAMILY IMAGE.sif [options of `apptainer build`]: one image, and its digest beside it.
# APPTAINER_BUILD holds further options, for builds by the workflow: --fakeroot, --bind /downloads:/game, --build-arg ...
set -eu
family=$1 image=$(realpath -m "$2")
shift 2
cd "$(dirname "$0")/.."
[ "$family" = core ] || [ -e "envs/$family.py" ] || { echo "There is no envs/$family.py: which family is it?" >&2; exit 2; }
mkdir -p "$(dirname "$image")"
trap 'rm -f "$image.part"' EXIT
# shellcheck disable=SC2086  # options, with blanks between
apptainer build --force ${APPTAINER_BUILD:-} --build-arg "FAMILY=$family" "$@" "$image.part" containers/image.def
mv "$image.part" "$image"
(cd "$(dirname "$image")" && sha256sum "$(basename "$image")" >"$(basename "$image").sha256")
