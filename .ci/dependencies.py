#!/usr/bin/env python3
"""The dependency policy: licences, sources, banned crates. Reads `cargo metadata`, needs no network.

Advisories are not checked here: their database lives outside the package registries.
"""
import json
import re
import subprocess
import sys

LICENCES = {
    "Apache-2.0", "Apache-2.0 WITH LLVM-exception", "MIT", "MIT-0", "BSD-2-Clause", "BSD-3-Clause", "ISC", "Zlib",
    "Unicode-3.0", "CC0-1.0", "0BSD", "Unlicense", "BSL-1.0", "MPL-2.0",
}
# What must not come in, and why.
BANNED = {
    "openssl-sys": "TLS, where it is needed, is rustls; no system library",
    "native-tls": "TLS, where it is needed, is rustls; no system library",
    "wasmtime-cli": "the runtime is a library here",
    "winch-codegen": "Winch is not for untrusted code",
}
REGISTRY = re.compile(r"^registry\+")


def allowed(expression):
    """Whether one alternative of an SPDX expression is allowed. `/` is the old way to write OR."""
    if not expression:
        return False
    alternatives = re.split(r"\s+OR\s+|/", expression.replace("(", "").replace(")", ""))
    return any(all(part.strip() in LICENCES for part in re.split(r"\s+AND\s+", alternative)) for alternative in alternatives)


def main():
    text = subprocess.run(
        ["cargo", "metadata", "--format-version", "1", "--locked"], check=True, capture_output=True, text=True
    ).stdout
    problems = []
    for package in json.loads(text)["packages"]:
        name = f"{package['name']} {package['version']}"
        if package["source"] is None:
            continue
        if not REGISTRY.match(package["source"]):
            problems.append(f"{name}: comes from {package['source'].split('+')[0]}, only the registry is allowed")
        if not allowed(package["license"]):
            problems.append(f"{name}: licence {package['license'] or 'unknown'} is not on the list in .ci/dependencies.py")
        if package["name"] in BANNED:
            problems.append(f"{name}: banned: {BANNED[package['name']]}")
    print("\n".join(problems) if problems else "dependencies: licences, sources and bans are fine")
    return 1 if problems else 0


sys.exit(main())
