# Sourced by script/demo, script/test and script/check: where the project is, and a Python to set it up with.
# shellcheck shell=bash

ROOT="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)"
PYTHON="$ROOT/.venv/bin/python"
export PYTHONPATH="$ROOT" PYTHONUNBUFFERED=1

say() { printf '%s\n' "$*"; }
stop() { printf '%s\n' "$*" >&2; exit 1; }

# The first Python on this machine that is new enough.
find_python() {
  local candidate
  for candidate in python3.11 python3.12 python3.13 python3.14 python3 python; do
    if command -v "$candidate" >/dev/null 2>&1 &&
      "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; then
      command -v "$candidate"
      return
    fi
  done
  stop "Second Look needs Python 3.11 or newer, and this machine has none. On Debian or Ubuntu: apt-get install python3 python3-venv"
}

# set_up base|dev: bring .venv to what the requirement files say; nothing happens when it is there already.
set_up() {
  local python
  python="$(find_python)"
  "$python" -I "$ROOT/script/set_up.py" "$1"
}

# install_models PYTHON: what requirements-models.txt lists, into the environment of that Python.
install_models() {
  say "Installing what requirements-models.txt adds (once, about 20 MB without CUDA) …"
  # PYTHONPATH names this folder for the processes of the project; pip has no business there.
  env -u PYTHONPATH "$1" -m pip install --no-input --disable-pip-version-check --quiet --progress-bar off \
    -r "$ROOT/requirements-models.txt"
}

# set_up_models: MODELS_PYTHON sees all of .venv and the extra set besides, so that .venv stays the base set.
set_up_models() {
  local place="$ROOT/.venv-models" packages='import sysconfig; print(sysconfig.get_path("purelib"))' wanted
  MODELS_PYTHON="$place/bin/python"
  wanted="$(printf '%s\n' "$ROOT"; cd "$ROOT"; cat requirements-models.txt requirements.txt constraints.txt)"
  if [ "$(cat "$place/installed" 2>/dev/null || true)" = "$wanted" ]; then return; fi
  rm -rf "$place"
  "$PYTHON" -m venv "$place"
  "$PYTHON" -c "$packages" >"$("$MODELS_PYTHON" -c "$packages")/base.pth"
  install_models "$MODELS_PYTHON"
  printf '%s\n' "$wanted" >"$place/installed"
}

can_install_packages() { [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; }

# install_packages PACKAGE…: Debian's own; the caller has asked can_install_packages.
install_packages() {
  say "Installing Debian's $* (once) …"
  local log="$ROOT/var/packages.log"
  mkdir -p "$ROOT/var"
  { apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "$@"; } 2>&1 |
    tee "$log" | grep --line-buffered -E '^(Get:|Unpacking|Setting up|E:|W:)' || true
  if [ "${PIPESTATUS[0]}" != 0 ]; then
    stop "Debian's $* could not be installed; the whole output is in $log."
  fi
}
