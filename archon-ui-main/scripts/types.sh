#!/bin/sh
# Writes the API's types and a request's bounds from the server's own OpenAPI document.
# PYTHON names an interpreter with the server's packages.
set -eu
cd "$(dirname "$0")/.."
python=${PYTHON:-../.venv/bin/python}
case $python in /*) ;; *) python=$(pwd)/$python ;; esac
types=$(pwd)/src/features/agent-work-orders/types
document=$(mktemp).json
trap 'rm -f "$document"' EXIT
(cd ../python && ARCHON_AWO_ENABLED=true "$python" -c '
import json, sys
from src.server.main import app
json.dump(app.openapi(), sys.stdout)
') >"$document"
npx --no-install openapi-typescript "$document" --output "$types/api.generated.ts"
node -e '
const { properties } = require(process.argv[1]).components.schemas.WorkOrderRequest;
const bounds = {};
for (const [name, field] of Object.entries(properties)) {
  for (const one of [field, ...(field.anyOf ?? [])]) {
    for (const word of ["minimum", "maximum", "exclusiveMinimum", "maxItems"]) {
      if (one[word] !== undefined) (bounds[name] ??= {})[word] = one[word];
    }
  }
}
console.log(JSON.stringify(bounds, null, 2));
' "$document" >"$types/bounds.generated.json"
