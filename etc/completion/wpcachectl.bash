# shellcheck shell=bash
# bash completion for wpcachectl(1)

_wpcachectl() {
        local current=$2 option=$3 word verb='' words
        local verbs='status clear rollback watch reload version help'
        local targets='all docker builder images'
        local options='--json --json=short --json=pretty --socket --quiet --color=auto
                --color=always --color=never --no-pager --help --version'
        local of_clear='--target --keep-mounts --wait --no-wait --dry-run'

        # bash takes "--json=short" apart at the "="
        if [[ $current == '=' ]]; then
                option+='='
                current=''
        elif [[ $option == '=' ]]; then
                option=${COMP_WORDS[COMP_CWORD - 2]}=
        fi
        for word in "${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
                if [[ " $verbs " == *" $word "* ]]; then
                        verb=$word
                        break
                fi
        done
        case $option:$verb:$current in
        --json=:*) words='short pretty' ;;
        --color=:*) words='auto always never' ;;
        --target:* | --target=:*) words=$targets ;;
        --wait:* | --wait=:*) words='0 90s 5min 30min 1h' ;;
        --socket:* | --socket=:*)
                mapfile -t COMPREPLY < <(compgen -f -- "$current")
                return
                ;;
        *::-* | *:clear:-*) words="$options $of_clear" ;;
        *:-*) words=$options ;;
        *::*) words=$verbs ;;
        *:clear:*) words=$targets ;;
        *) words='' ;;
        esac
        mapfile -t COMPREPLY < <(compgen -W "$words" -- "$current")
}

complete -F _wpcachectl wpcachectl
