#!/usr/bin/env python3
"""Checks that `make run` and `make test` use each dependency with the same features.

Otherwise cargo compiles the dependency twice, and also every crate that depends on it. The arguments are those with which
`make test` selects packages.
"""
import subprocess
import sys


def compiled(*arguments):
    """Returns every dependency that cargo would compile, with its version and features."""
    tree = ["cargo", "tree", "--locked", "--prefix", "none", "--no-dedupe", "--format", "{p}|{f}", *arguments]
    text = subprocess.run(tree, check=True, capture_output=True, text=True).stdout
    # Crates of this workspace have a path after their version.
    lines = (line.removesuffix(" (*)").replace(" (proc-macro)", "") for line in text.splitlines())
    return {line for line in lines if line and "(/" not in line}


def main():
    run = compiled("--package", "turntable", "--edges", "normal,build")
    test = compiled(*sys.argv[1:], "--edges", "normal,build,dev")
    twice = sorted(run - test)
    for line in twice:
        print(f"`make test` compiles {line.split('|')[0]} a second time: only `make run` has exactly the features {line.split('|')[1] or '(none)'}")
    if twice:
        print("Add the features that only the tests use to host/Cargo.toml, in the section of such features.")
    else:
        print(f"features: the {len(run)} dependencies of `make run` are those of `make test`")
    return 1 if twice else 0


sys.exit(main())
