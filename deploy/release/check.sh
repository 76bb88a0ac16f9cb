#!/bin/sh
# Compares the version of a release with every place that states it.
# Usage: deploy/release/check.sh vX.Y.Z
set -eu
cd "$(dirname "$0")/../.."
tag=${1:?usage: deploy/release/check.sh vX.Y.Z}
version=${tag#v}
failed=0

# expect FILE LINE: the file must contain this line.
expect() {
    if ! grep -qxF -- "$2" "$1"; then
        echo "$1: the line '$2' is missing; write the version $version there" >&2
        failed=1
    fi
}

expect Cargo.toml "version = \"$version\""
expect Dockerfile "ARG VERSION=$version"
expect compose.yml "    image: myunisoft-exporter:$version"
expect deploy/helm/Chart.yaml "version: $version"
expect deploy/helm/Chart.yaml "appVersion: \"$version\""
if ! grep -q "^## $version - [0-9-]*\$" CHANGELOG.md; then
    echo "CHANGELOG.md: has no section '## $version - YYYY-MM-DD'; rename 'Unreleased'" >&2
    failed=1
fi
exit "$failed"
