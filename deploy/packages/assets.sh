#!/bin/sh
# Writes the files that the packages contain and the repository does not: the binary without debug symbols, and what the
# binary itself prints.
#
# Usage: assets.sh BINARY DIRECTORY
set -eu
binary=$1
assets=$2
name=myunisoft-exporter

rm -rf "$assets"
mkdir -p "$assets/completions" "$assets/man"
strip -o "$assets/$name" "$binary"

"$binary" completions bash >"$assets/completions/$name"
"$binary" completions zsh >"$assets/completions/_$name"
"$binary" completions fish >"$assets/completions/$name.fish"

"$binary" man >"$assets/man/$name.1"
# `help` prints what the other pages contain.
for subcommand in $("$binary" --help | sed -n '/^Commands:/,/^$/s/^  \([a-z-]*\) .*/\1/p' | grep -vx help); do
	"$binary" man "$subcommand" >"$assets/man/$name-$subcommand.1"
done
gzip -9n "$assets"/man/*.1

# The same source gives the same packages, so the date is that of the source.
date=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct 2>/dev/null || date +%s)}
gzip -9nc CHANGELOG.md >"$assets/changelog.gz"
cat >"$assets/changelog.Debian" <<END
$name ($("$binary" -V | cut -d' ' -f2)-1) unstable; urgency=medium

  * New release. The file changelog.gz lists the changes.

 -- myunisoft-exporter maintainers <maintainers@myunisoft-exporter.example>  $(LC_ALL=C date -uRd "@$date")
END
