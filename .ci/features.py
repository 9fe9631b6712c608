#!/usr/bin/env python3
"""Checks that `make run` and `make test` compile each dependency once: with the same features in both.

Takes the arguments with which `make test` selects packages. Cargo compiles a crate again for each set of features, and with
it all that depends on it.
"""
import subprocess
import sys


def compiled(*arguments):
    """Returns each dependency that cargo would compile, with its version and features."""
    tree = ["cargo", "tree", "--locked", "--prefix", "none", "--no-dedupe", "--format", "{p}|{f}", *arguments]
    text = subprocess.run(tree, check=True, capture_output=True, text=True).stdout
    # Crates of this workspace have a path behind their version.
    lines = (line.removesuffix(" (*)").replace(" (proc-macro)", "") for line in text.splitlines())
    return {line for line in lines if line and "(/" not in line}


def main():
    run = compiled("--package", "turntable", "--edges", "normal,build")
    test = compiled(*sys.argv[1:], "--edges", "normal,build,dev")
    twice = sorted(run - test)
    for line in twice:
        print(f"`make test` compiles {line.split('|')[0]} a second time: only `make run` has exactly the features {line.split('|')[1] or '(none)'}")
    if twice:
        print("Name the features that the tests add in host/Cargo.toml, where the others of their kind stand.")
    else:
        print(f"features: the {len(run)} dependencies of `make run` are those of `make test`")
    return 1 if twice else 0


sys.exit(main())
