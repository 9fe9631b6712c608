#!/usr/bin/env bash
# Fetches Web Chat's bundle as npm has it, into node_modules. The package alone: what it depends on is inside the bundle.
set -euo pipefail
cd "$(dirname "$0")"

version=4.18.1
sha512=ee3a44509ee8953eb65e6fbc7a1ec186121c5d57d4db10f8a590da781b7c2b85dc372e8affcdd4188c44f411645e61cc6788431153b3b3972b7b4ec65ae697ce
folder=node_modules/.webchat-$version
[ ! -f "$folder/package/dist/webchat.js" ] || exit 0

rm -rf "$folder" && mkdir -p "$folder"
npm pack --silent --pack-destination "$folder" "botframework-webchat@$version" >/dev/null
archive=$folder/botframework-webchat-$version.tgz
if ! echo "$sha512  $archive" | sha512sum --check --status; then
    echo "error: $archive is not the botframework-webchat $version that the specs were written against" >&2
    exit 1
fi
tar -xzf "$archive" -C "$folder" package/package.json package/dist/webchat.js
rm "$archive"
