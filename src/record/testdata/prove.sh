#!/usr/bin/env bash
# Proves that src/record and pyrecordio, its Go and its Python package, read what the other writes:
#   src/record/testdata/prove.sh SOURCES BUILD
# SOURCES: a git directory or checkout of github.com/wangkuiyi/recordio. BUILD: a build folder in which
# record_write_golden was built. Needs Debian's golang-go and golang-github-golang-snappy-dev, and python3.
# With UPDATE=1 the golden files of both packages are written anew.
set -euo pipefail
[ $# -eq 2 ] || { sed -n '2,6p' "$0" >&2; exit 2; }
here="$(cd "$(dirname "$0")" && pwd)"
work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT

package="$work/go/src/github.com/wangkuiyi/recordio"
mkdir -p "$package" "$work/go/src/golden" "$work/theirs" "$work/ours"
git -C "$1" archive HEAD | tar -x -C "$package"
# What pip cannot do (README.md), as the package's setup.py asks for it.
mkdir "$work/go/src/crecordio"
mv "$package/python/crecordio.go" "$work/go/src/crecordio/"
mv "$package/python/recordio" "$work/recordio"
# filelist.go reads lists of files, and needs a package more.
rm -rf "$package"/*_test.go "$package/filelist.go" "$package/python" "$package/examples"
cp "$here/golden.go" "$work/go/src/golden/main.go"
export GOPATH="$work/go:/usr/share/gocode" GO111MODULE=off GOFLAGS= GOCACHE="$work/cache"
(cd "$work/go/src/golden" && go build -o "$work/golden" .)
library="librecordio$(python3 -c 'import sysconfig; print(sysconfig.get_config_var("EXT_SUFFIX"))')"
(cd "$work/go/src/crecordio" && go build -buildmode=c-shared -o "$work/recordio/$library" .)
python() {
  PYTHONPATH="$work" PYTHONDONTWRITEBYTECODE=1 python3 -W ignore "$here/pyrecordio_golden.py" "$@"
}

"$work/golden" write "$work/theirs"
python write "$work/theirs"
[ -z "${UPDATE:-}" ] || cp "$work"/theirs/* "$here/"
for file in "$work"/theirs/*; do
  cmp "$file" "$here/$(basename "$file")"
done
echo "the golden files are what pyrecordio writes"

"$2/src/record/record_write_golden" "$work/ours"
"$work/golden" read "$work"/ours/*.recordio
# gzip it writes, and cannot read (golden.go).
python read "$work"/ours/*{none,snappy}.recordio
cmp "$work/ours/none.recordio" "$here/none.recordio"
echo "without compression both write the same bytes"
