#!/usr/bin/env bash
# Packs the SDKs as their people expect them into target/packages, and tries each package in an empty project: npm for TypeScript and
# JavaScript, pip for Python, archives for Go and C. A language whose tools are missing is skipped
# aloud. $TURNTABLE is the built host.
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

# A module without a public path is used through `replace`, from the unpacked archive.
go_package() {
    stage go
    rm -rf "$work/go/tools" "$work"/go/*/*_test.go
    tar -C "$work" -czf "$packages/turntable-sdk-go-0.1.0.tar.gz" go
    mkdir "$work/empty-go" && cd "$work/empty-go" && tar -xzf "$packages/turntable-sdk-go-0.1.0.tar.gz"
    printf 'module empty\n\ngo 1.24\n\nrequire turntable v0.0.0\n\nreplace turntable => ./go\n' >go.mod
    printf 'package empty\n\nimport (\n\t"testing"\n\n\t"turntable"\n\t"turntable/turntabletest"\n)\n\nfunc TestEmpty(t *testing.T) {\n
\tif turntabletest.New(t, &turntable.Bot{}).Says("hi").IsHandled {\n\t\tt.Error("it is handled")\n\t}\n}\n' >empty_test.go
    go test . >&2
    say "packed     turntable-sdk-go-0.1.0.tar.gz"
}

c_package() {
    stage c
    rm -rf "$work/c/tools" "$work/c/tests"
    tar -C "$work" -czf "$packages/turntable-sdk-c-0.1.0.tar.gz" c
    mkdir "$work/empty-c" && cd "$work/empty-c" && tar -xzf "$packages/turntable-sdk-c-0.1.0.tar.gz"
    printf '#include "turntable_test.h"\ntt_bot turntable_bot;\nint main(void) {\n    TT_EXPECT(tt_test_says("hi"), "");\n    return tt_test_end();\n}\n' >empty.c
    cc -I c/include empty.c c/src/*.c c/testing/*.c -o empty && ./empty
    say "packed     turntable-sdk-c-0.1.0.tar.gz"
}

if command -v npm >/dev/null; then (npm_package); else say "SKIPPED: the npm package: npm is not installed"; fi
if python3 -c 'import venv, ensurepip' 2>/dev/null; then (pip_package); else
    say "SKIPPED: the Python package: Python with venv is not installed"
fi
if command -v go >/dev/null; then (go_package); else say "SKIPPED: the Go module: Go is not installed"; fi
if command -v cc >/dev/null; then (c_package); else say "SKIPPED: the C archive: no C compiler is installed"; fi
