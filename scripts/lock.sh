#!/bin/sh
# Writes python/requirements/*.txt from the ranges in pyproject.toml: one file per set, hashed, valid on every
# Python we support, and without the address of any index. archon-v1.txt is the tests' set in the public server's versions.
set -eu
cd "$(dirname "$0")/../python"

command -v uv >/dev/null 2>&1 || { echo "make lock needs uv: install it with 'pip install uv', then run it again." >&2; exit 1; }
export UV_PYTHON_DOWNLOADS=never

pin() {
    uv pip compile --quiet --universal --python-version "${oldest:-3.11}" --generate-hashes --no-emit-index-url --no-header "$@"
}
pin pyproject.toml --extra logfire -o requirements/runtime.txt
pin --group mcp -c requirements/runtime.txt -o requirements/mcp.txt
pin --group test -c requirements/runtime.txt -o requirements/test.txt
pin --group check -c requirements/runtime.txt -c requirements/test.txt -o requirements/check.txt

# The public server's MCP library is a generation older than the one that our own MCP server is tested with.
older_mcp=$(mktemp)
trap 'rm -f "$older_mcp"' EXIT
echo 'mcp==1.12.2' >"$older_mcp"
oldest=3.12 pin pyproject.toml --extra logfire --group test -c requirements/archon-v1.in --override "$older_mcp" \
    --no-annotate -o requirements/archon-v1.txt
