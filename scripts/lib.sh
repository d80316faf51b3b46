# Shared by run, test, check, wheel and bench, which source it. It does nothing when it is run.
# shellcheck shell=bash

set -euo pipefail

root=$(CDPATH='' cd -P -- "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd -P)
venv=$root/.venv
python=${PYTHON:-python3}

unset PYTHONHOME              # would take the standard library from elsewhere
unset PYTHONDONTWRITEBYTECODE # without .pyc files every start compiles everything again

say() { printf 'jph: %s\n' "$*" >&2; }

die() {
    say "$@"
    exit 1
}

# step TEXT HINT COMMAND...: print TEXT, run COMMAND without its output; if it fails, show the end of the output and HINT.
step() {
    local text=$1 hint=$2 log
    shift 2
    say "$text"
    log=$(mktemp -t jph-install.XXXXXX) || die "cannot write to ${TMPDIR:-/tmp}"
    set -m # a process group of its own, so that a signal ends all that COMMAND has started
    "$@" >"$log" 2>&1 </dev/null &
    set +m
    trap 'kill -- "-$!"; rm -f -- "$log"; exit 130' INT
    trap 'kill -- "-$!"; rm -f -- "$log"; exit 143' TERM
    if wait "$!"; then
        trap - INT TERM
        rm -f -- "$log"
        return 0
    fi
    trap - INT TERM
    grep -v 'WARNING: Retrying' -- "$log" | tail -n 12 | cut -c -160 | sed 's/^/    /' >&2
    say "$hint (its whole output: $log)"
    return 1
}

as_root() {
    if ((EUID == 0)); then "$@"; else sudo -n "$@"; fi
}

can_be_root() {
    ((EUID == 0)) || { command -v sudo >/dev/null && sudo -n true 2>/dev/null; }
}

_apt_get_install() {
    local command=(apt-get -q -y -o DPkg::Lock::Timeout=120 --no-install-recommends install "$@")
    # The package lists of a fresh system are empty, those of an old one name files that are gone.
    as_root env DEBIAN_FRONTEND=noninteractive "${command[@]}" ||
        { as_root apt-get -q update && as_root env DEBIAN_FRONTEND=noninteractive "${command[@]}"; }
}

# apt_install PACKAGE...: install Debian packages, or print the command that does.
apt_install() {
    if ! command -v apt-get >/dev/null; then
        die "missing on this machine: $* (these are the Debian names); please install and start again"
    fi
    can_be_root || die "please type this and start again: sudo apt-get install $*"
    step "installing $* by apt-get ..." "could not install $*: is this machine online?" _apt_get_install "$@" || exit 1
}

_has_font() {
    local folder
    for folder in /usr/share/fonts /usr/local/share/fonts "${HOME:-/nonexistent}/.fonts"; do
        [[ -z $(find "$folder" -name '*.[ot]tf' -print -quit 2>/dev/null) ]] || return 0
    done
    return 1
}

# need_system NAME...: make sure that this machine has these programs; apt-get installs missing ones.
need_system() {
    local name missing=()
    for name in "$@"; do
        case $name in
        browser)
            command -v chromium >/dev/null || command -v google-chrome >/dev/null || missing+=(chromium)
            _has_font || missing+=(fonts-dejavu-core)
            ;;
        caddy) command -v caddy >/dev/null || missing+=(caddy) ;;
        gcc) command -v gcc >/dev/null || missing+=(gcc libc6-dev) ;;
        ip) command -v ip >/dev/null || [[ -x /usr/sbin/ip ]] || missing+=(iproute2) ;;
        make | openssl) command -v "$name" >/dev/null || missing+=("$name") ;;
        mosquitto)
            [[ -x /usr/sbin/mosquitto ]] || command -v mosquitto >/dev/null || missing+=(mosquitto)
            ;;
        nginx) [[ -x /usr/sbin/nginx ]] || command -v nginx >/dev/null || missing+=(nginx-light) ;;
        postgres) compgen -G '/usr/lib/postgresql/*/bin/initdb' >/dev/null || missing+=(postgresql) ;;
        redis) command -v redis-server >/dev/null || missing+=(redis-server) ;;
        systemd)
            command -v systemd-analyze >/dev/null || missing+=(systemd) # brings libseccomp, too
            command -v systemd-nspawn >/dev/null || missing+=(systemd-container)
            ;;
        *) die "need_system: $name is unknown" ;;
        esac
    done
    ((${#missing[@]} == 0)) || apt_install "${missing[@]}"
}

find_python() {
    if ! command -v -- "$python" >/dev/null; then
        [[ -z ${PYTHON:-} ]] || die "PYTHON=$PYTHON: no such program"
        apt_install python3 python3-venv
    fi
    local version
    version=$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])') || die "$python does not run"
    if ((${version%%.*} != 3 || ${version#*.} < 11)); then
        die "needs Python 3.11 or newer, $python is $version; name another one: PYTHON=/path/to/python3.11 $0"
    fi
    if ! "$python" -c 'import ensurepip, venv' 2>/dev/null; then # Debian splits these off
        if [[ $(command -v -- "$python") -ef /usr/bin/python3 ]]; then
            apt_install python3-venv
        else
            apt_install "python$version-venv"
        fi
    fi
}

# Print a hash of everything that an installation depends on: project files, folder, interpreter.
fingerprint() {
    {
        printf '%s\n' "$root" "$(readlink -f -- "$venv/bin/python" || true)"
        cat -- "$root/pyproject.toml" "$root/setup.py" "$root/package-lock.json" 2>/dev/null || true
    } | sha256sum
}

# has EXTRA...: tell whether all of these are installed from the present project files.
has() {
    local now extra stamp
    [[ ! -e $venv/.unfinished ]] || return 1
    [[ " $* " != *" web "* || -e $root/static/vendor/.stamp ]] || return 1
    now=$(fingerprint)
    for extra in "$@"; do
        stamp=$venv/.has-$extra
        [[ -r $stamp && $(<"$stamp") == "$now" ]] || return 1
    done
}

# While .venv/.unfinished is there, .venv may be incomplete: an earlier start was killed while it made it.
_make_venv() {
    [[ ! -e $venv/.unfinished ]] && "$venv/bin/python" -m pip --version >/dev/null 2>&1 && return 0
    find_python
    rm -rf -- "$venv" || die "cannot replace the unfinished $venv"
    mkdir -- "$venv"
    : >"$venv/.unfinished"
    step "making $venv ..." "could not make $venv" "$python" -m venv "$venv" || exit 1
}

_install() {
    local extras extra failed=0
    _make_venv
    extras=$(IFS=, && printf '%s' "$*")
    : >"$venv/.unfinished"
    step "installing JPH with what it needs for: $* (a minute or two, once) ..." \
        "could not install JPH: is this machine online, and is there space on its disk?" \
        "$venv/bin/python" -m pip install --disable-pip-version-check --no-input --editable "${root}[$extras]" ||
        failed=1
    if ((!failed)) && [[ " $* " == *" web "* ]]; then
        step "fetching the browser libraries ..." "could not fetch the browser libraries: is this machine online?" \
            "$root/scripts/vendor" || failed=1
    fi
    rm -f -- "$venv/.unfinished"
    ((!failed)) || exit 1
    for extra in "$@"; do fingerprint >"$venv/.has-$extra"; done
}

# need EXTRA...: make sure that .venv holds JPH with these extras.
need() {
    has "$@" && return 0
    [[ -w $root ]] || die "cannot write to $root, where .venv belongs"
    exec 9<"$root" # a lock between two first starts; closed again below, and by the kernel if this program dies
    if ! flock -n 9; then
        say "another start is installing here; waiting for it ..."
        flock 9
    fi
    has "$@" || _install "$@"
    exec 9<&-
}
