#!/bin/sh
# make deb: dist/edgeface_VERSION_ARCHITECTURE.deb, for the Debian and the Python it is made with.
# The libraries that Debian does not have, or not new enough, come along in its environment.
set -eu
cd "$(dirname "$0")/.."
: "${PYTHON:=/usr/bin/python3}"
command -v dpkg-deb >/dev/null || {
  echo "dpkg-deb is missing: a Debian package is made on Debian" >&2
  exit 1
}
"$PYTHON" -c 'import sys; sys.exit(sys.base_prefix != "/usr")' || {
  echo "$PYTHON is not Debian's, which the package will run with; try make deb PYTHON=/usr/bin/python3" >&2
  exit 1
}
root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT
chmod 755 "$root"
export PYTHON DESTDIR="$root" PREFIX=/usr/lib/edgeface COMMAND=/usr/bin/edgeface
export SYSTEMD=/lib/systemd/system SYSUSERS=/usr/lib/sysusers.d TMPFILES=/usr/lib/tmpfiles.d
export UDEV=/lib/udev/rules.d
umask 022
systemd/install.sh install

lib=$root$PREFIX/lib
rm -rf "$lib"/python3.*/site-packages/pip "$lib"/python3.*/site-packages/pip-*.dist-info \
  "$root$PREFIX"/bin/pip* "$root$PREFIX"/bin/[Aa]ctivate*
find "$root" -name __pycache__ -prune -exec rm -rf {} +
find "$lib" -name '*.so*' -type f -exec chmod 644 {} +
version=$("$root$PREFIX/bin/python" -B -c 'import edgeface; print(edgeface.__version__)')-1
py=$("$PYTHON" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
next=$("$PYTHON" -c 'import sys; print("3.%d" % (sys.version_info[1] + 1))')
arch=$(dpkg --print-architecture)
maintainer="edgeface <edgeface@example.org>"

doc=$root/usr/share/doc/edgeface
mkdir -p "$doc"
cat >"$doc/copyright" <<C
Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/

Files: *
Copyright: the edgeface developers
License: Apache-2.0
 On Debian systems the licence is in /usr/share/common-licenses/Apache-2.0.

Files: usr/lib/edgeface/share/edgeface/models/*
Copyright: the edgeface developers
License: models
$(sed 's/^$/./; s/^/ /' models/LICENSE)
C
printf '%s\n' "edgeface ($version) unstable; urgency=medium" '' '  * See changelog.gz.' '' \
  " -- $maintainer  $(date -R)" | gzip -9n >"$doc/changelog.Debian.gz"
gzip -9n <CHANGELOG.md >"$doc/changelog.gz"

mkdir -p "$root/DEBIAN" "$root/usr/share/lintian/overrides"
cat >"$root/DEBIAN/control" <<C
Package: edgeface
Version: $version
Architecture: $arch
Maintainer: $maintainer
Installed-Size: $(du -sk "$root" | cut -f1)
Depends: python3 (>= $py), python3 (<< $next), libc6, systemd
Recommends: mosquitto
Suggests: python3-picamera2, libedgetpu1-std
Section: net
Priority: optional
Description: face recognition at the door, with MQTT events
 A headless daemon for a Raspberry Pi or a Coral board: it watches a door
 camera, finds and recognizes faces with two int8 TFLite models, and publishes
 what it saw as signed MQTT events that a door controller can act on.
C
echo /etc/edgeface/edgeface.yaml >"$root/DEBIAN/conffiles"
# The wheels bring libraries that somebody else has compiled and linked.
for tag in custom-library-search-path embedded-library library-not-linked-against-libc \
  relative-library-search-path unstripped-binary-or-object; do
  echo "edgeface: $tag"
done >"$root/usr/share/lintian/overrides/edgeface"
cat >"$root/DEBIAN/postinst" <<'C'
#!/bin/sh
set -e
[ "$1" = configure ] || exit 0
# The service may not write there: what is not compiled now is compiled at every start.
/usr/lib/edgeface/bin/python -m compileall -q -j 0 /usr/lib/edgeface/lib || true
systemd-sysusers edgeface.conf
systemd-tmpfiles --create edgeface.conf
if [ -d /run/systemd/system ]; then
  systemctl daemon-reload
  udevadm control --reload || true
  [ -z "$2" ] || systemctl try-restart 'edgeface*.service'
fi
C
cat >"$root/DEBIAN/prerm" <<'C'
#!/bin/sh
set -e
find /usr/lib/edgeface -name __pycache__ -prune -exec rm -rf {} +
[ "$1" = remove ] && [ -d /run/systemd/system ] || exit 0
for link in /etc/systemd/system/*.wants/edgeface*; do
  [ ! -L "$link" ] || systemctl disable --now "${link##*/}"
done
systemctl stop 'edgeface*'
C
cat >"$root/DEBIAN/postrm" <<'C'
#!/bin/sh
set -e
[ ! -d /run/systemd/system ] || systemctl daemon-reload
# The gallery goes with `purge` alone; the user stays, as Debian's policy wants.
[ "$1" != purge ] || rm -rf /var/lib/edgeface /etc/edgeface/conf.d
C
chmod 755 "$root/DEBIAN/postinst" "$root/DEBIAN/prerm" "$root/DEBIAN/postrm"
mkdir -p dist
dpkg-deb --root-owner-group -Zgzip --build "$root" "dist/edgeface_${version}_$arch.deb"
