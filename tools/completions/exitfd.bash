# SPDX-License-Identifier: MIT
# bash completion for exitfd(1)

_exitfd()
{
    local current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD - 1]} command=${COMP_WORDS[1]} options
    COMPREPLY=()
    if ((COMP_CWORD == 1)); then
        COMPREPLY=($(compgen -W 'wait run init doctor --help --version' -- "$current"))
        return
    fi
    case $command in
        wait) options='--timeout --count --json --help' ;;
        run) options='--null --jobs --timeout --kill-after --fail-fast --keep-order --json --output-limit --progress --summary --quiet --help' ;;
        init) options='--remap --group --kill-after --parent-death --verbose --warn --help' ;;
        doctor) options='--json --help' ;;
        *) return ;;
    esac
    case $previous in
        -p | --parent-death)
            if [[ $command == init ]]; then
                COMPREPLY=($(compgen -A signal -- "$current"))
                return
            fi
            ;;
    esac
    if [[ $current == -* ]]; then
        COMPREPLY=($(compgen -W "$options" -- "$current"))
        return
    fi
    case $command in
        wait) COMPREPLY=($(compgen -W "$(ps -eo pid= 2>/dev/null)" -- "$current")) ;;
        run) mapfile -t COMPREPLY < <(compgen -f -- "$current") ;; # a name may have spaces
        init) mapfile -t COMPREPLY < <(compgen -c -- "$current") ;;
    esac
}

complete -o filenames -F _exitfd exitfd
