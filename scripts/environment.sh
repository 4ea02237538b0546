# Sourced by scripts/quickstart and scripts/test: makes .venv with pinned versions when missing.
# Usage: source scripts/environment.sh EXTRAS    (for example "test,lint"; may be empty)
# PYTHON chooses the interpreter; an existing .venv is reused and updated when needed.

extras="${1:-}"
cd "$(dirname "${BASH_SOURCE[0]}")/.."
if [ ! -x .venv/bin/python ]; then
    interpreter="${PYTHON:-python3}"
    if ! "$interpreter" -c 'import sys, ensurepip, venv; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
        echo "Python 3.11 or newer with its venv module is needed; $interpreter is not. Set PYTHON" \
            "to one that is (on Debian: apt install python3-venv)." >&2
        exit 1
    fi
    echo "Making .venv with $("$interpreter" --version)"
    "$interpreter" -m venv .venv || { rm -rf .venv; exit 1; }
fi
stamp=".venv/installed-${extras:-base}"
wanted="$(cat pyproject.toml constraints.txt | cksum)"
if [ "$(cat "$stamp" 2>/dev/null)" != "$wanted" ]; then
    echo "Installing pinned versions into .venv (minutes on the first run; torch is large)"
    .venv/bin/python -m pip install --quiet --disable-pip-version-check \
        --constraint constraints.txt --editable ".${extras:+[$extras]}"
    echo "$wanted" > "$stamp"
fi
