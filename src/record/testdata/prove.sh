#!/usr/bin/env bash
# Proves that src/record and pyrecordio's Go package read what the other writes:
#   src/record/testdata/prove.sh SOURCES BUILD
# SOURCES: a git directory or checkout of github.com/wangkuiyi/recordio. BUILD: a build folder in which
# record_write_golden was built. Needs Debian's golang-go and golang-github-golang-snappy-dev.
# With UPDATE=1 the golden files of Go are written anew.
set -euo pipefail
[ $# -eq 2 ] || { sed -n '2,5p' "$0" >&2; exit 2; }
here="$(cd "$(dirname "$0")" && pwd)"
work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT

package="$work/go/src/github.com/wangkuiyi/recordio"
mkdir -p "$package" "$work/go/src/golden" "$work/theirs" "$work/ours"
git -C "$1" archive HEAD | tar -x -C "$package"
# filelist.go reads lists of files, and needs a package more.
rm -rf "$package"/*_test.go "$package/filelist.go" "$package/python" "$package/examples"
cp "$here/golden.go" "$work/go/src/golden/main.go"
export GOPATH="$work/go:/usr/share/gocode" GO111MODULE=off GOFLAGS= GOCACHE="$work/cache"
(cd "$work/go/src/golden" && go build -o "$work/golden" .)

"$work/golden" write "$work/theirs"
[ -z "${UPDATE:-}" ] || cp "$work"/theirs/* "$here/"
for file in "$work"/theirs/*; do
  cmp "$file" "$here/$(basename "$file")"
done
echo "the golden files are what Go writes"

"$2/src/record/record_write_golden" "$work/ours"
"$work/golden" read "$work"/ours/*.recordio
cmp "$work/ours/none.recordio" "$here/none.recordio"
echo "without compression both write the same bytes"
