#!/usr/bin/env bash
# Finds or installs the tools for guests and builds guests into target/components/NAME.wasm.
#
#   guest-sdk/toolchain.sh rust PACKAGE...     Rust packages of this workspace
#   guest-sdk/toolchain.sh typescript NAME...  bots with the SDK in tests/guests/typescript; see typescript_project
#   guest-sdk/toolchain.sh js NAME...          tests/guests/js/NAME.js, without an SDK
#   guest-sdk/toolchain.sh python NAME...      bots with the SDK in tests/guests/python, and without it NAME.py there
#   guest-sdk/toolchain.sh go|c NAME...        bots with the SDK in tests/guests/go and tests/guests/c, built by `turntable build`
#
# Rust guests need only Rust. The script uses the target wasm32-wasip2 if it is installed or if rustup can add it. Otherwise, on
# Debian, it uses the distribution's Rust and builds the standard library from source. It installs those packages with apt if it
# runs as root; if not, it prints the command and stops. It never calls sudo. Downloads are kept in a cache folder outside the
# clone, $TURNTABLE_CACHE or ~/.cache/turntable, which may be deleted at any time.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cache=${TURNTABLE_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/turntable}
components=$root/target/components
target=wasm32-wasip2
debian_packages="rustc-web cargo-web rust-web-src rust-web-llvm lld-22"

say() { printf '%s\n' "$*" >&2; }
fail() { say "toolchain: $*"; exit 1; }

# Allows only one invocation at a time, because two would install and build into the same folders.
lock() {
    mkdir -p "$cache" "$components"
    exec 9>"$cache/lock"
    if command -v flock >/dev/null; then flock 9; fi
}

# Replaces a component atomically and only if its bytes differ, because a running host watches this folder.
publish() {
    local from=$1 to=$components/$2.wasm
    if cmp -s "$from" "$to"; then say "unchanged  $2.wasm"; return; fi
    # These are two commands, because a failure in an `&&` list would not end the script.
    cp "$from" "$to.tmp"
    mv "$to.tmp" "$to"
    say "built      $2.wasm ($(wc -c <"$to") bytes)"
}

# --- Rust ---------------------------------------------------------------------------------------------------------

# Prints how this machine builds Rust guests: `plain` (the target is installed) or `debian`.
rust_way() {
    local libdir
    libdir=$(cd "$root" && rustc --print target-libdir --target $target 2>/dev/null || true)
    if [ -n "$libdir" ] && [ -d "$libdir" ]; then echo plain; return; fi
    if command -v rustup >/dev/null && (cd "$root" && timeout 300 rustup target add $target) >/dev/null 2>&1; then
        echo plain; return
    fi
    [ -r /etc/debian_version ] || fail "rustup cannot add the target $target here; install it and try again: rustup target add $target"
    echo debian
}

debian_rust() {
    local missing=() package
    for package in $debian_packages; do
        [ "$(dpkg-query -W -f='${db:Status-Status}' "$package" 2>/dev/null)" = installed ] || missing+=("$package")
    done
    [ ${#missing[@]} -eq 0 ] && return
    local install="apt-get update && apt-get install -y --no-install-recommends ${missing[*]}"
    [ "$(id -u)" = 0 ] || fail "rustup cannot add the target $target here. As root, run this and try again: $install"
    say "toolchain: installing ${missing[*]}"
    (apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "${missing[@]}") \
        >"$cache/apt.log" 2>&1 || { tail -n 20 "$cache/apt.log" >&2; fail "apt failed; the whole log is $cache/apt.log"; }
}

# Downloads and unpacks the startup objects and libc of wasm32-wasip2 from Debian's next release. It does not install them.
debian_wasi() {
    wasi=$cache/wasi/usr/lib/rustlib/$target/lib/self-contained
    [ -e "$wasi/libc.a" ] && return
    local work=$cache/wasi.tmp log=$cache/wasi.log
    rm -rf "$work" && mkdir -p "$work/lists/partial" "$work/cache/archives/partial" "$work/unpacked"
    next_release_sources >"$work/next.sources"
    [ -s "$work/next.sources" ] || fail "no Debian entry found among this machine's apt sources"
    local apt=(-o "Dir::Etc::sourcelist=$work/next.sources" -o Dir::Etc::sourceparts=/dev/null
        -o "Dir::State::Lists=$work/lists" -o "Dir::Cache=$work/cache" -o APT::Sandbox::User=root)
    say "toolchain: fetching the wasi libraries"
    (cd "$work" && apt-get "${apt[@]}" update && apt-get "${apt[@]}" download libstd-rust-dev-wasm32) >"$log" 2>&1 ||
        { tail -n 20 "$log" >&2; fail "the wasi libraries could not be fetched; the whole log is $log"; }
    dpkg -x "$work"/libstd-rust-dev-wasm32_*.deb "$work/unpacked"
    # The package also contains standard libraries that another compiler compiled. They are useless here and large.
    find "$work/unpacked" -name '*.rlib' -delete
    rm -rf "$cache/wasi" && mv "$work/unpacked" "$cache/wasi" && rm -rf "$work"
    [ -e "$wasi/libc.a" ] || fail "the package libstd-rust-dev-wasm32 contains no libc.a; update debian_wasi in this script"
}

# Prints this machine's Debian entries with the name of the next suite. It omits third-party entries, even if they name their
# suite `bookworm`: Debian's own entries are signed with its archive key, or name no key and have a path that ends in /debian.
# It is written in awk because Rust guests must not need Python.
next_release_sources() {
    local file
    local print_own='
        function print_own(uris, suites, components, key) {
            if ((" " suites " ") !~ / bookworm / || (" " components " ") !~ / main /) return
            if (key == "" ? uris !~ /\/debian\/?( |$)/ : key !~ /debian-archive/) return
            printf "Types: deb\nURIs: %s\nSuites: trixie\nComponents: main\n", uris
            if (key != "") printf "Signed-By: %s\n", key
            printf "\n"
        }'
    for file in /etc/apt/sources.list.d/*.sources; do
        [ -r "$file" ] || continue
        awk "$print_own"'
            BEGIN { RS = ""; FS = "\n" }
            {
                split("", field)
                for (i = 1; i <= NF; i++) {
                    if ($i !~ /^[A-Za-z-]+:/) continue
                    at = index($i, ":")
                    value = substr($i, at + 1)
                    gsub(/^[ \t]+|[ \t]+$/, "", value)
                    # The value is on the following lines, such as a whole key. It is not needed, but it is not absent.
                    if (value == "") value = "below"
                    field[tolower(substr($i, 1, at - 1))] = value
                }
                if ((" " field["types"] " ") !~ / deb / || tolower(field["enabled"]) ~ /^(no|false|0)$/) next
                print_own(field["uris"], field["suites"], field["components"], field["signed-by"])
            }' "$file"
    done
    for file in /etc/apt/sources.list /etc/apt/sources.list.d/*.list; do
        [ -r "$file" ] || continue
        awk "$print_own"'
            $1 == "deb" {
                key = ""
                if (match($0, /^deb[ \t]+\[[^]]*\]/)) {
                    options = substr($0, RSTART, RLENGTH)
                    $0 = "deb " substr($0, RSTART + RLENGTH)
                    if (match(options, /signed-by=[^] \t]+/)) key = substr(options, RSTART + 10, RLENGTH - 10)
                }
                components = ""
                for (i = 4; i <= NF && $i !~ /^#/; i++) components = components " " $i
                print_own($2, $3, components, key)
            }' "$file"
    done
}

build_rust() {
    local packages=() name
    for name in "$@"; do packages+=(-p "$name"); done
    local args=(build --locked --profile guest --target $target --target-dir "$root/target/guests" "${packages[@]}")
    # The assignment is separate because `case $(…)` would ignore a failure.
    local way
    way=$(rust_way)
    case $way in
    plain) (cd "$root" && cargo "${args[@]}") ;;
    debian)
        debian_rust
        debian_wasi
        (cd "$root" && env -u RUSTUP_TOOLCHAIN PATH="/usr/bin:$PATH" RUSTC_BOOTSTRAP=1 \
            RUSTFLAGS="-L $wasi -C link-arg=--wasm-ld-path=/usr/bin/wasm-ld-22" \
            /usr/bin/cargo "${args[@]}" -Zbuild-std=std,panic_abort)
        ;;
    esac
    for name in "$@"; do publish "$root/target/guests/$target/guest/${name//-/_}.wasm" "$name"; done
}

# --- JavaScript ---------------------------------------------------------------------------------------------------

# Exits with status 3 if a tool is not on this machine. The caller decides whether that is an error.
absent() { say "toolchain: SKIPPED $1: $2"; exit 3; }

# Uses `npm install` instead of `npm ci`, because the lock file lacks optional packages of platforms that were never published.
node_tools() {
    command -v npm >/dev/null || absent "JavaScript guests" "node and npm are not installed"
    local key
    key=$(sha256sum "$root/guest-sdk/typescript/tools/package-lock.json" | cut -c1-16)
    tools=$cache/node-$key
    [ -e "$tools/done" ] && return
    rm -rf "$tools" && mkdir -p "$tools"
    cp "$root"/guest-sdk/typescript/tools/{package.json,package-lock.json,.npmrc} "$tools/"
    (cd "$tools" && npm install --no-save --no-audit --no-fund) >"$cache/npm.log" 2>&1 ||
        { tail -n 20 "$cache/npm.log" >&2; fail "npm failed; the whole log is $cache/npm.log"; }
    touch "$tools/done"
}

# The JavaScript toolchain does not know feature gates, so a guest that uses `@unstable` items gets a copy of wit/ without gates.
ungated_wit() {
    local copy=$root/target/guests/wit-ungated
    rm -rf "$copy" && mkdir -p "$copy"
    local file
    for file in "$root"/wit/*.wit; do sed -e '/^ *@unstable(/d' -e '/^ *@since(/d' "$file" >"$copy/$(basename "$file")"; done
    echo "$copy"
}

build_js() {
    node_tools
    local name world wit out=$root/target/guests/js
    mkdir -p "$out"
    for name in "$@"; do
        case $name in
        surface-*) world=full-plugin wit=$(ungated_wit) ;;
        echo-js) world=plugin wit=$root/wit ;;
        *) world=full-plugin wit=$root/wit ;;
        esac
        "$tools/node_modules/.bin/componentize-qjs" --sync --wit "$wit" --world "$world" \
            --js "$root/tests/guests/js/$name.js" --output "$out/$name.wasm" >&2
        publish "$out/$name.wasm" "$name"
    done
}

# Prints the project of a bot in tests/guests/typescript and its entry.
typescript_project() {
    local name=${1/-typescript/}
    case $name in
    parity) echo "parity release-1.ts" ;;
    parity-[23]) echo "parity release-${name#parity-}.ts" ;;
    *) echo "$name bot.ts" ;;
    esac
}

build_typescript() {
    node_tools
    local name project entry out=$root/target/guests/typescript sources=$root/tests/guests/typescript
    mkdir -p "$out"
    "$tools/node_modules/.bin/tsc" --project "$sources" --pretty false
    for name in "$@"; do
        read -r project entry <<<"$(typescript_project "$name")"
        node "$root/guest-sdk/typescript/build.mjs" --project "$sources/$project" --entry "$entry" --wit "$root/wit" \
            --tools "$tools" --out "$out/$name.wasm"
        publish "$out/$name.wasm" "$name"
    done
}

# --- Python -------------------------------------------------------------------------------------------------------

python_tools() {
    command -v python3 >/dev/null || absent "Python guests" "python3 is not installed"
    python3 -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 10))' 2>/dev/null ||
        absent "Python guests" "Python 3.10 or newer with venv is needed"
    local key
    key=$(sha256sum "$root/guest-sdk/python/tools/requirements.txt" | cut -c1-16)
    tools=$cache/python-$key
    [ -e "$tools/done" ] && return
    rm -rf "$tools"
    (python3 -m venv "$tools" && "$tools/bin/pip" install --quiet -r "$root/guest-sdk/python/tools/requirements.txt") \
        >"$cache/pip.log" 2>&1 || { tail -n 20 "$cache/pip.log" >&2; fail "pip failed; the whole log is $cache/pip.log"; }
    touch "$tools/done"
}

# Builds a bot with the SDK: `parity-python-2` is release 2 of the bot in the folder parity.
python_bot() {
    local project=${1%%-python*} module=bot release=${1#parity-python}
    [ "$project" != parity ] || { release=${release#-} && module=release_${release:-1}; }
    "$tools/bin/python" "$root/guest-sdk/python/build.py" --project "$root/tests/guests/python/$project" --module "$module" \
        --wit "$root/wit" --out "$2"
}

python_module() {
    local name=$1 output=$2
    shift 2
    "$tools/bin/componentize-py" --quiet --wit-path "$root/wit" "$@" --world full-plugin componentize \
        --python-path "$root/tests/guests/python" --output "$output" "${name//-/_}" >&2
}

build_python() {
    python_tools
    local name out=$root/target/guests/python
    mkdir -p "$out"
    for name in "$@"; do
        case $name in
        parity-python* | travel-python | *-python-sdk) python_bot "$name" "$out/$name.wasm" ;;
        surface-*) python_module "$name" "$out/$name.wasm" --all-features ;;
        *) python_module "$name" "$out/$name.wasm" ;;
        esac
        publish "$out/$name.wasm" "$name"
    done
}

# --- Go and C -----------------------------------------------------------------------------------------------------

# Builds a bot with the command that authors use. It needs the built host: $TURNTABLE, or the one in target/debug.
project_bot() {
    local turntable=${TURNTABLE:-$root/target/debug/turntable} language=$1 name=$2
    local out=$root/target/guests/$language/$name.wasm
    [ -x "$turntable" ] || fail "$turntable does not exist; build the host first: make build"
    mkdir -p "$(dirname "$out")"
    TURNTABLE_CACHE=$cache "$turntable" build --install "$root/tests/guests/$language/${name%-"$language"}" --out "$out" >&2
    publish "$out" "$name"
}

# Go comes from the machine if it is new enough, and otherwise, like the C compiler, from PyPI.
build_go() { project_bots go "$@"; }
build_c() { project_bots c "$@"; }

project_bots() {
    local language=$1 name
    shift
    python3 -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 10))' 2>/dev/null ||
        absent "guests in $language" "Python 3.10 or newer with venv is needed"
    for name in "$@"; do project_bot "$language" "$name"; done
}

command=${1:-}
[ $# -ge 2 ] || fail "usage: toolchain.sh rust|typescript|js|python|go|c NAME..."
shift
case $command in
rust | typescript | js | python) lock && "build_$command" "$@" ;;
# `turntable build --install` takes the lock itself.
go | c) mkdir -p "$cache" "$components" && "build_$command" "$@" ;;
*) fail "unknown command $command; usage: toolchain.sh rust|typescript|js|python|go|c NAME..." ;;
esac
