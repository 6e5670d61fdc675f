# Progress lines for the scripts beside this file; sourced, never run.
# Colour only where a person looks: each stream is asked for itself, and NO_COLOR is obeyed.

if [ -t 1 ] && [ -z "${NO_COLOR:-}" ]; then
    bold=$'\033[1m' green=$'\033[32m' red=$'\033[31m' plain=$'\033[0m'
else
    bold='' green='' red='' plain=''
fi

# What begins now.
step() { printf '%s==>%s %s\n' "$bold" "$plain" "$*"; }

# A fact worth knowing, below a step.
note() { printf '    %s\n' "$*"; }

# What went wrong, and in further arguments, one a line, what to do about it.
fail() {
    printf '%serror:%s %s\n' "$red" "$plain" "$1" >&2
    shift
    [ $# -eq 0 ] || printf '       %s\n' "$@" >&2
    exit 1
}
