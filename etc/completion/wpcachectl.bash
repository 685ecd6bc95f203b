# shellcheck shell=bash
# bash completion for wpcachectl(1)

# Nothing but what can be a name is taken: compgen -W expands what it is given.
_wpcachectl_targets() {
        printf '%s\n' all docker builder images apps
        timeout 1 wpcachectl status --json=short </dev/null 2>/dev/null |
                grep -o '{"name":"[a-z0-9][a-z0-9_.-]*","root":' | cut -d '"' -f 4
}

_wpcachectl() {
        local current=$2 option=$3 verb='' command='' i word words
        local verbs='status clear rollback plan explain inhibit history watch metrics reload
                version help'
        local options='--json --json=short --json=pretty --socket --quiet --color=auto
                --color=always --color=never --no-pager --help --version'
        local -A of=(
                [clear]='--target --keep-mounts --include-mounted --wait --no-wait --dry-run
                        --ignore-inhibitors'
                [plan]='--target --keep-mounts --include-mounted'
                [inhibit]='--why --ttl --wait --no-wait --require'
                [history]='--since'
        )

        # bash takes "--json=short" apart at the "="
        if [[ $current == '=' ]]; then
                option+='='
                current=''
        elif [[ $option == '=' ]]; then
                option=${COMP_WORDS[COMP_CWORD - 2]}=
        fi
        for ((i = 1; i < COMP_CWORD; i++)); do
                word=${COMP_WORDS[i]}
                if [[ $word == -- && $verb == inhibit ]]; then
                        command=$((i + 1))
                        break
                elif [[ $word == -* && ${COMP_WORDS[i + 1]} == '=' ]]; then
                        ((i += 2))
                elif [[ $word =~ ^--(target|wait|why|ttl|since|socket)$ ]]; then
                        ((i++))
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
        --json=:*) words='short pretty' ;;
        --color=:*) words='auto always never' ;;
        --target:* | --target=:*) words=$(_wpcachectl_targets) ;;
        --wait:* | --wait=:*) words='0 90s 5min 30min 1h' ;;
        --ttl:* | --ttl=:*) words='10min 30min 1h 4h' ;;
        --since:* | --since=:*) words='24h 7d 30d' ;;
        --why:* | --why=:*) words='' ;;
        --socket:* | --socket=:*)
                mapfile -t COMPREPLY < <(compgen -f -- "$current")
                return
                ;;
        *::-*) words="$options ${of[*]}" ;;
        *:-*) words="$options ${of[$verb]-}" ;;
        *::*) words=$verbs ;;
        *:clear:* | *:plan:*) words=$(_wpcachectl_targets) ;;
        *:inhibit:*)
                mapfile -t COMPREPLY < <(compgen -c -- "$current")
                return
                ;;
        *) words='' ;;
        esac
        mapfile -t COMPREPLY < <(compgen -W "$words" -- "$current")
}

complete -F _wpcachectl wpcachectl
