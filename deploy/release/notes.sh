#!/bin/sh
# Prints the section of CHANGELOG.md about a version.
# Usage: deploy/release/notes.sh vX.Y.Z
set -eu
cd "$(dirname "$0")/../.."
tag=${1:?usage: deploy/release/notes.sh vX.Y.Z}
awk -v start="## ${tag#v} - " '
    /^## / { inside = index($0, start) == 1; found = found || inside; next }
    inside { print }
    END { exit !found }
' CHANGELOG.md
