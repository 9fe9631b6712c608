#!/usr/bin/env bash
# Packs the SDKs as their people expect them into target/packages, and tries each package in an empty project: npm for TypeScript and
# JavaScript, pip for Python. A language whose tools are missing is skipped aloud.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
packages=$root/target/packages
rm -rf "$packages" && mkdir -p "$packages"
work=$(mktemp -d) && trap 'rm -rf "$work"' EXIT

say() { printf '%s\n' "$*" >&2; }

# Copies a package with the licence that every package must have.
stage() {
    cp -r "$root/guest-sdk/$1" "$work/$1"
    cp "$root/LICENSE" "$work/$1/LICENSE"
}

npm_package() {
    stage typescript
    (cd "$work/typescript" && npm pack --silent --pack-destination "$packages" >/dev/null)
    mkdir "$work/npm" && cd "$work/npm"
    echo '{ "name": "empty", "private": true, "type": "module" }' >package.json
    npm install --silent --no-audit --no-fund "$packages"/turntable-sdk-*.tgz
    node --input-type=module -e '
        import { defineBot, text } from "turntable-sdk";
        import { TestHost } from "turntable-sdk/testing";
        const host = new TestHost(defineBot({ onMessage: (turn) => void turn.reply(text("Name?").key()) }));
        if (host.plugin.manifest().name !== "test") throw new Error("the package does not work");'
    say "packed     $(basename "$packages"/turntable-sdk-*.tgz)"
}

pip_package() {
    stage python
    python3 -m venv "$work/venv"
    "$work/venv/bin/pip" wheel --quiet --no-deps --wheel-dir "$packages" "$work/python"
    "$work/venv/bin/pip" install --quiet --no-index "$packages"/turntable_sdk-*.whl
    (cd "$work" && "$work/venv/bin/python" -c '
from turntable_sdk import Bot
from turntable_sdk.testing import TestHost
assert TestHost(type("Empty", (Bot,), {})).plugin.manifest()["name"] == "test"')
    say "packed     $(basename "$packages"/turntable_sdk-*.whl)"
}

if command -v npm >/dev/null; then (npm_package); else say "SKIPPED: the npm package: npm is not installed"; fi
if python3 -c 'import venv, ensurepip' 2>/dev/null; then (pip_package); else
    say "SKIPPED: the Python package: Python with venv is not installed"
fi
