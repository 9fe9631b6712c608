"""Builds the component of a Python project. `turntable build` runs it with the Python of its tools.

    python build.py --project DIR --wit DIR --out FILE [--module NAME]

The environment must have `componentize-py`. The author's module is `bot.py` or the one that `--module` names. Pure
dependencies come
from the folder `vendor` of the project: `pip install --target vendor PACKAGE`.
"""

import argparse
import ast
import os
import re
import shutil
import subprocess
import sys
import tempfile

SDK = os.path.dirname(os.path.abspath(__file__))
APP = """from turntable_sdk.component import exports_for
import {module}

BotHandler, DialogHandler, Middleware = exports_for({module}, {package!r})
"""
#: Modules that exist in a component, but whose use fails, with the reason.
REFUSED = {
    "socket": "a bot has no sockets",
    "ssl": "a bot has no sockets",
    "subprocess": "a bot has no processes",
    "multiprocessing": "a bot has no processes",
    "threading": "a bot has one thread",
    "ctypes": "a bot has no native code",
    "asyncio": "a dialog awaits only functions of its Dialogue, and handlers do not wait",
    "requests": "this release has no outbound HTTP",
    "urllib3": "this release has no outbound HTTP",
    "aiohttp": "this release has no outbound HTTP",
    "httpx": "this release has no outbound HTTP",
}


class Problem(Exception):
    """What is wrong with the project, for its author."""


def main() -> int:
    arguments = argparse.ArgumentParser()
    for name in ("project", "wit", "out"):
        arguments.add_argument(f"--{name}", required=True)
    arguments.add_argument("--module", default="bot")
    options = arguments.parse_args()
    try:
        build(
            os.path.abspath(options.project), os.path.abspath(options.wit), os.path.abspath(options.out), options.module
        )
    except Problem as problem:
        print(problem, file=sys.stderr)
        return 1
    return 0


def build(project: str, wit: str, out: str, module: str) -> None:
    check_sources(project, module)
    with tempfile.TemporaryDirectory(prefix="turntable-") as work:
        with open(os.path.join(work, "turntable_app.py"), "w", encoding="utf-8") as app:
            app.write(APP.format(module=module, package=package_of(project)))
        folders = [work, project, SDK] + [it for it in [os.path.join(project, "vendor")] if os.path.isdir(it)]
        paths = [part for folder in folders for part in ("--python-path", folder)]
        built = os.path.join(work, "bot.wasm")
        command = [
            os.path.join(os.path.dirname(sys.executable), "componentize-py"),
            "--quiet",
            "--wit-path",
            wit,
            "--world",
            "full-plugin",
        ]
        # The folder of the virtual environment must not be searched: its packages have native code.
        environment = {name: value for name, value in os.environ.items() if name not in ("VIRTUAL_ENV", "PYTHONPATH")}
        ended = subprocess.run(
            [*command, "componentize", *paths, "--output", built, "turntable_app"],
            capture_output=True,
            text=True,
            env=environment,
            cwd=work,
        )
        if ended.returncode != 0:
            raise Problem(explained(ended.stdout + ended.stderr))
        os.makedirs(os.path.dirname(out), exist_ok=True)
        shutil.copyfile(built, out)


def check_sources(project: str, module: str) -> None:
    """Finds mistakes that the componentizer reports without file and line, or not at all."""
    if not os.path.isfile(os.path.join(project, f"{module}.py")):
        raise Problem(f"error: {project} has no bot: write {module}.py with a class that inherits from `Bot`")
    skipped = {"vendor", "tests", "turntable", "build"}
    for folder, folders, files in os.walk(project):
        folders[:] = [
            name for name in folders if name not in skipped and not name.startswith(".") and name != "__pycache__"
        ]
        for name in sorted(files):
            if name.endswith(".py") and not name.startswith("test_") and name != "conftest.py":
                check_source(os.path.join(folder, name), project)


def check_source(path: str, project: str) -> None:
    shown = os.path.relpath(path, project)
    with open(path, encoding="utf-8") as source:
        text = source.read()
    try:
        tree = ast.parse(text, shown)
    except SyntaxError as error:
        raise Problem(
            f"{shown}:{error.lineno}:{error.offset}: error: {error.msg}\n    {(error.text or '').rstrip()}"
        ) from None
    for node in ast.walk(tree):
        names = (
            [it.name for it in node.names]
            if isinstance(node, ast.Import)
            else [node.module or ""]
            if isinstance(node, ast.ImportFrom) and not node.level
            else []
        )
        for name in names:
            reason = REFUSED.get(name.split(".")[0])
            if reason:
                raise Problem(
                    f"{shown}:{node.lineno}:{node.col_offset + 1}: error: a bot cannot use `{name}`: {reason}"
                )


def package_of(project: str) -> dict:
    """Returns name, version and description of pyproject.toml."""
    path = os.path.join(project, "pyproject.toml")
    if not os.path.isfile(path):
        return {}
    with open(path, encoding="utf-8") as file:
        text = file.read()
    # Python 3.10 has no reader of TOML, and these three are texts on lines of their own.
    section = re.search(r"^\[project\]\s*$(.*?)(?=^\[|\Z)", text, re.MULTILINE | re.DOTALL)
    found = re.findall(
        r'^(name|version|description)\s*=\s*"([^"\\]*)"', section.group(1) if section else "", re.MULTILINE
    )
    return dict(found)


def explained(output: str) -> str:
    """Makes the output of the componentizer readable: the author's frames, the error, and what to do."""
    traceback = re.search(
        r"AssertionError: Traceback \(most recent call last\):\n(.*?)\n\n\nCaused by", output, re.DOTALL
    )
    if traceback is None:
        return f"error: componentize-py failed:\n{output.strip()}"
    lines = traceback.group(1).splitlines()
    frames = [re.match(r'  File "/\d+/(?!turntable_)(.*)", line (\d+), in', line) for line in lines]
    places = [f"{frame.group(1)}:{frame.group(2)}: in the bot" for frame in frames if frame]
    error = next((line for line in reversed(lines) if line and not line.startswith(" ")), "no error was reported")
    missing = re.match(r"ModuleNotFoundError: No module named '([^'.]+)", error)
    if missing:
        error += (
            f". Run `pip install --target vendor {missing.group(1)}` in the project, or correct the name; only packages in "
            "pure Python run in a bot"
        )
    rule = "The code at the top level of a bot runs once, when the component is built. It cannot use the turn."
    return "\n".join([*places, f"error: {error}", rule])


if __name__ == "__main__":
    sys.exit(main())
