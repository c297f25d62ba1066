#!/bin/sh
# make install, make uninstall: the program and what systemd has to know of it. `make deb` calls it
# with DESTDIR and Debian's folders. What is yours, the configuration and the state, is kept.
set -eu
cd "$(dirname "$0")/.."
: "${PYTHON:=python3}" "${DESTDIR:=}" "${PREFIX:=/opt/edgeface}" "${COMMAND:=/usr/local/bin/edgeface}"
: "${SYSTEMD:=/etc/systemd/system}" "${SYSUSERS:=/etc/sysusers.d}" "${TMPFILES:=/etc/tmpfiles.d}"
: "${UDEV:=/etc/udev/rules.d}"
UNITS=$(cd systemd && echo ./*.service ./*.timer)
here=$([ -n "$DESTDIR" ] || echo yes) # into this machine, not into a folder

if [ "$here" ] && [ "$(id -u)" != 0 ]; then
  echo "this is for root: sudo make $1" >&2
  exit 1
fi

systemd_runs() { [ "$here" ] && [ -d /run/systemd/system ]; }

# To DESTDIR, with the program's place in it.
put() {
  install -d "$DESTDIR$(dirname "$2")"
  sed "s|/opt/edgeface|$PREFIX|g" "$1" >"$DESTDIR$2"
  chmod 644 "$DESTDIR$2"
}

case $1 in
install)
  "$PYTHON" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || {
    echo "edgeface needs Python 3.11 or later; try make install PYTHON=python3.12" >&2
    exit 1
  }
  # The system's packages for picamera2, which was built against the system's numpy.
  constraint=
  if [ -r /etc/os-release ] && grep -q '^VERSION_CODENAME=bookworm' /etc/os-release; then
    constraint="-c constraints/bookworm.txt"
  fi
  "$PYTHON" -m venv --system-site-packages "$DESTDIR$PREFIX"
  # shellcheck disable=SC2086
  "$DESTDIR$PREFIX/bin/python" -m pip --disable-pip-version-check install -q --no-compile \
    ${DESTDIR:+--ignore-installed} $constraint .
  if [ -n "$DESTDIR" ]; then # scripts name the interpreter where it will be
    grep -rlI "^#!$DESTDIR$PREFIX" "$DESTDIR$PREFIX/bin" | xargs sed -i "1s|$DESTDIR||"
    sed -i "s|$DESTDIR||g" "$DESTDIR$PREFIX/pyvenv.cfg" "$DESTDIR$PREFIX"/bin/[Aa]ctivate*
  fi
  # The service may not write here: what is not compiled now is compiled at every start.
  [ ! "$here" ] || "$PREFIX/bin/python" -m compileall -q -j 0 "$PREFIX/lib" ||
    echo "some files could not be compiled; only the start is slower" >&2
  install -d "$DESTDIR$(dirname "$COMMAND")"
  ln -sfn "$PREFIX/bin/edgeface" "$DESTDIR$COMMAND"

  for unit in $UNITS; do put "systemd/$unit" "$SYSTEMD/${unit#./}"; done
  put systemd/edgeface.sysusers "$SYSUSERS/edgeface.conf"
  put systemd/edgeface.tmpfiles "$TMPFILES/edgeface.conf"
  put systemd/edgeface.udev "$UDEV/60-edgeface.rules"
  if [ -e "$DESTDIR/etc/edgeface/edgeface.yaml" ]; then
    echo "kept /etc/edgeface/edgeface.yaml; what is new in it: $PREFIX/share/edgeface/config"
  else
    put config/edgeface.yaml /etc/edgeface/edgeface.yaml
  fi
  if [ "$here" ]; then
    systemd-sysusers "$SYSUSERS/edgeface.conf"
    systemd-tmpfiles --create "$TMPFILES/edgeface.conf"
  fi
  if systemd_runs; then
    systemctl daemon-reload
    [ ! -e /run/udev/control ] || udevadm control --reload # it does not run in a container
    systemctl try-restart edgeface 'edgeface@*'
  fi
  if [ "$here" ]; then
    echo "installed. Next: edit /etc/edgeface/edgeface.yaml (site, device, camera), edgeface config check,"
    echo "sudo -u edgeface edgeface doctor, systemctl enable --now edgeface (systemd/install.md)"
  fi
  ;;
uninstall)
  if systemd_runs; then
    for link in /etc/systemd/system/*.wants/edgeface*; do
      [ ! -L "$link" ] || systemctl disable --now "${link##*/}"
    done
    systemctl stop 'edgeface*'
  fi
  for unit in $UNITS; do rm -f "$DESTDIR$SYSTEMD/${unit#./}"; done
  rm -f "$DESTDIR$SYSUSERS/edgeface.conf" "$DESTDIR$TMPFILES/edgeface.conf" \
    "$DESTDIR$UDEV/60-edgeface.rules" "$DESTDIR$COMMAND"
  rm -rf "$DESTDIR${PREFIX:?}"
  if systemd_runs; then systemctl daemon-reload; fi
  echo "gone but for what is yours: /etc/edgeface, /var/lib/edgeface and the user edgeface"
  ;;
*)
  echo "usage: $0 install|uninstall" >&2
  exit 2
  ;;
esac
