#!/bin/sh
# Take pictures of the reports in folder $1 and put them into folder $2, with headless Chromium.
set -eu
for name in export evaluate; do
  profile=$(mktemp -d)
  chromium --headless --no-sandbox --disable-gpu --no-first-run --disable-background-networking \
    --disable-component-update --disable-sync --user-data-dir="$profile" --hide-scrollbars \
    --window-size=1000,1000 --screenshot="$2/$name.png" "file://$(realpath "$1/$name.html")" 2>/dev/null
  rm -rf "$profile"
done
