#!/bin/sh
# Take pictures of the reports in folder $1 and put them into folder $2, with headless Chromium: of export's page the top,
# and of evaluate's the figures and what went wrong.
set -eu
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

# Of the page $1, its head and the sections whose heading is one of $2, with two rows of pictures each.
part() {
  awk -v wanted="<h2>($2)</h2>" 'BEGIN { RS = "<section>" } NR == 1 || $0 ~ wanted { print (NR > 1 ? RS : "") $0 }' "$1"
  echo '<style>figure { width: 8.4rem } figure:nth-child(n+13) { display: none }</style>'
}

# A picture of the page $1, of the size $2, as $3.
picture() {
  chromium --headless --no-sandbox --disable-gpu --no-first-run --disable-background-networking \
    --disable-component-update --disable-sync --user-data-dir="$scratch/profile" --hide-scrollbars \
    --window-size="$2" --screenshot="$3" "file://$(realpath "$1")" 2>/dev/null
}

part "$1/evaluate.html" "The worst mistakes|Suspected labels" >"$scratch/evaluate.html"
picture "$scratch/evaluate.html" 1000,880 "$2/evaluate.png"
picture "$1/export.html" 1000,1160 "$2/export.png"
