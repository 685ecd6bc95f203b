# shellcheck shell=bash
# bash completion for wpcachectl(1)

# Nothing but what can be a name is taken: compgen -W expands what it is given.
_wpcachectl_targets() {
        printf '%s\n' all docker builder images apps
        # those of another host are not asked for
        [[ ! $1 ]] || return
        timeout 1 wpcachectl status --json=short </dev/null 2>/dev/null |
                grep -o '{"name":"[a-z0-9][a-z0-9_.-]*","root":' | cut -d '"' -f 4
}

_wpcachectl_hosts() {
        if declare -F _known_hosts_real >/dev/null; then
                _known_hosts_real -a -- "$1"
        else
                mapfile -t COMPREPLY < <(compgen -A hostname -- "$1")
        fi
}

_wpcachectl() {
        local current=$2 option=$3 verb='' command='' host='' i word words
        local verbs='status clear rollback plan explain inhibit history watch metrics reload
                ssh-gate version help'
        local options='--json --json=short --json=pretty --host --socket --quiet --color=auto
                --color=always --color=never --no-pager --help --version'
        local -A of=(
                [clear]='--target --keep-mounts --include-mounted --wait --no-wait --dry-run
                        --ignore-inhibitors'
                [plan]='--target --keep-mounts --include-mounted'
                [inhibit]='--why --ttl --wait --no-wait --require'
                [history]='--since'
        )

        # bash takes "--json=short" apart at the "=", and "me@host" at the "@"
        if [[ $current == '=' || ${COMP_WORDS[COMP_CWORD]} == '=' ]]; then
                option+='='
                current=''
        elif [[ $option == '=' ]]; then
                option=${COMP_WORDS[COMP_CWORD - 2]}=
        fi
        [[ $current != '@' ]] || current=''
        for ((i = 1; i < COMP_CWORD; i++)); do
                word=${COMP_WORDS[i]}
                if [[ $word == -- && $verb == inhibit ]]; then
                        command=$((i + 1))
                        break
                elif [[ $word =~ ^(-H|--host)$ ]]; then
                        host=yes
                        ((i++))
                        [[ ${COMP_WORDS[i]} != '=' ]] || ((i++))
                        while [[ ${COMP_WORDS[i + 1]-} == [@:] ]]; do
                                ((i += 2))
                        done
                        ((i < COMP_CWORD)) || option=--host
                elif [[ $word == -* && ${COMP_WORDS[i + 1]} == '=' ]]; then
                        ((i += 2))
                elif [[ $word =~ ^--(target|wait|why|ttl|since|socket)$ ]]; then
                        ((i++))
                elif [[ $word == -H* ]]; then
                        host=yes
                elif [[ $word == -* ]]; then
                        continue
                elif [[ ! $verb ]]; then
                        verb=$word
                elif [[ $verb == inhibit ]]; then
                        command=$i
                        break
                fi
        done
        if [[ $command ]]; then
                if declare -F _command_offset >/dev/null; then
                        _command_offset "$command"
                elif ((command == COMP_CWORD)); then
                        mapfile -t COMPREPLY < <(compgen -c -- "$current")
                else
                        mapfile -t COMPREPLY < <(compgen -f -- "$current")
                fi
                return
        fi
        case $option:$verb:$current in
        --host:* | --host=:*)
                _wpcachectl_hosts "$current"
                return
                ;;
        --json=:*) words='short pretty' ;;
        --color=:*) words='auto always never' ;;
        --target:* | --target=:*) words=$(_wpcachectl_targets "$host") ;;
        --wait:* | --wait=:*) words='0 90s 5min 30min 1h' ;;
        --ttl:* | --ttl=:*) words='10min 30min 1h 4h' ;;
        --since:* | --since=:*) words='24h 7d 30d' ;;
        --why:* | --why=:*) words='' ;;
        --socket:* | --socket=:*)
                mapfile -t COMPREPLY < <(compgen -f -- "$current")
                return
                ;;
        *:ssh-gate:*) words=${verbs/inhibit /} words=${words/ssh-gate /} ;;
        *::-*) words="$options ${of[*]}" ;;
        *:-*) words="$options ${of[$verb]-}" ;;
        *::*) words=$verbs ;;
        *:clear:* | *:plan:*) words=$(_wpcachectl_targets "$host") ;;
        *:inhibit:*)
                mapfile -t COMPREPLY < <(compgen -c -- "$current")
                return
                ;;
        *) words='' ;;
        esac
        mapfile -t COMPREPLY < <(compgen -W "$words" -- "$current")
}

complete -F _wpcachectl wpcachectl
