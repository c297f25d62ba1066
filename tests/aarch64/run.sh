#!/usr/bin/env bash
# The demo's pipeline on aarch64, which a Pi and a Coral board are, emulated: makes a Debian 12 root for arm64,
# installs edgeface into it from aarch64 wheels, and holds what both models see of the demo's photographs
# against what they see here. For root, with debootstrap and qemu-user-static (Debian's packages); a quarter
# of an hour the first time, half a minute after. Not part of the test suite.
#
#   sudo tests/aarch64/run.sh [FOLDER]      (default: /var/tmp/edgeface-arm64; kept, 1 GiB)
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
: "${PYTHON:=python3}" # one that has edgeface: .venv/bin/python after `make test`
root=${1:-/var/tmp/edgeface-arm64}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

[ "$(id -u)" = 0 ] || { echo "this is for root: sudo $0" >&2; exit 1; }
for program in debootstrap qemu-aarch64-static; do
  command -v "$program" >/dev/null || {
    echo "$program is missing: apt-get install debootstrap qemu-user-static" >&2
    exit 1
  }
done
[ -e /proc/sys/fs/binfmt_misc/qemu-aarch64 ] || {
  echo "the kernel does not know qemu: systemctl restart systemd-binfmt, or update-binfmts --enable qemu-aarch64" >&2
  exit 1
}

if [ ! -x "$root/usr/bin/python3" ]; then
  debootstrap --arch=arm64 --variant=minbase --include=ca-certificates,python3-venv bookworm "$root"
fi
version=$(chroot "$root" python3 -c 'import sys; print("%d.%d" % sys.version_info[:2])')

# pip within the emulator is slow: the wheels are fetched out here.
rm -rf "$root/wheels" "$root/trial"
mkdir "$root/wheels" "$root/trial"
"$PYTHON" -m pip --disable-pip-version-check wheel -q --no-deps -w "$root/wheels" .
platforms=(--platform manylinux2014_aarch64)
for minor in 17 24 26 27 28 34; do platforms+=(--platform "manylinux_2_${minor}_aarch64"); done
"$PYTHON" -m pip --disable-pip-version-check download -q -d "$root/wheels" --find-links "$root/wheels" \
  "${platforms[@]}" --python-version "$version" --only-binary=:all: -c constraints/bookworm.txt \
  edgeface
[ -x "$root/opt/edgeface/bin/pip" ] || chroot "$root" python3 -m venv /opt/edgeface
install=(chroot "$root" /opt/edgeface/bin/pip --disable-pip-version-check install -q --no-compile --no-index)
"${install[@]}" --find-links /wheels edgeface
"${install[@]}" --no-deps --force-reinstall "/wheels/$(basename "$root"/wheels/edgeface-*.whl)" # it may be new

mkdir "$root/trial/film"
cp tests/aarch64/look.py "$root/trial/"
"$PYTHON" tests/aarch64/look.py film "$root/trial/film"
"$PYTHON" tests/aarch64/look.py see "$root/trial/film" "$work/here.json"
chroot "$root" uname -sm
chroot "$root" /opt/edgeface/bin/pip list | grep -E 'edgeface|litert|numpy|opencv'
chroot "$root" /opt/edgeface/bin/edgeface models check | grep -E '^[a-z]|golden run'
chroot "$root" /opt/edgeface/bin/python /trial/look.py see /trial/film /trial/there.json
"$PYTHON" tests/aarch64/look.py compare "$work/here.json" "$root/trial/there.json"
