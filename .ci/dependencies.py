#!/usr/bin/env python3
"""Checks the dependency policy: licences, sources and banned crates. It reads `cargo metadata` and needs no network.

It does not check advisories, because their database is not in a package registry.
"""
import json
import re
import subprocess
import sys

LICENCES = {
    "Apache-2.0", "Apache-2.0 WITH LLVM-exception", "MIT", "MIT-0", "BSD-2-Clause", "BSD-3-Clause", "ISC", "Zlib",
    "Unicode-3.0", "CC0-1.0", "0BSD", "Unlicense", "BSL-1.0", "MPL-2.0",
    "CDLA-Permissive-2.0",
}
# Crates that must not become dependencies, with the reason.
BANNED = {
    "openssl-sys": "use rustls for TLS; system libraries are not allowed",
    "native-tls": "use rustls for TLS; system libraries are not allowed",
    "wasmtime-cli": "the host uses wasmtime as a library",
    "winch-codegen": "Winch must not compile untrusted code",
}
REGISTRY = re.compile(r"^registry\+")


def allowed(expression):
    """Returns true if at least one alternative of an SPDX expression is allowed. `/` is the old syntax of OR."""
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
            problems.append(f"{name}: its source is {package['source'].split('+')[0]}, but only the registry is allowed")
        if not allowed(package["license"]):
            problems.append(f"{name}: licence {package['license'] or 'unknown'} is not in the list of .ci/dependencies.py")
        if package["name"] in BANNED:
            problems.append(f"{name}: the crate is banned: {BANNED[package['name']]}")
    print("\n".join(problems) if problems else "dependencies: licences, sources and bans are fine")
    return 1 if problems else 0


sys.exit(main())
