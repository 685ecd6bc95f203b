# fish completion for wpcachectl(1)

set -l verbs status clear rollback plan explain inhibit history watch metrics reload ssh-gate version help
set -l targets 'all docker builder images apps (__wpcachectl_apps)'
set -l first "not __fish_seen_subcommand_from $verbs"
set -l own 'not __fish_seen_subcommand_from ssh-gate; and __fish_seen_subcommand_from'
set -l of_target "$own clear plan"
set -l of_wait "$own clear inhibit"
set -l of_clear "$own clear"
set -l of_inhibit "$own inhibit"
set -l of_history "$own history"
set -l of_gate '__fish_seen_subcommand_from ssh-gate'

function __wpcachectl_apps
    # those of another host are not asked for
    string match -q -r -- '^(-H|--host)' (commandline -opc); and return
    timeout 1 wpcachectl status --json=short </dev/null 2>/dev/null \
        | grep -o '{"name":"[a-z0-9][a-z0-9_.-]*","root":' | cut -d '"' -f 4
end

complete -c wpcachectl -f
complete -c wpcachectl -n $first -a status -d 'How the caches stand'
complete -c wpcachectl -n $first -a clear -d 'Clear caches, and look again'
complete -c wpcachectl -n $first -a rollback -d 'Put the names a clear took back'
complete -c wpcachectl -n $first -a plan -d 'What would go and what stays, and why'
complete -c wpcachectl -n $first -a explain -d 'Why an image or a record goes or stays'
complete -c wpcachectl -n $first -a inhibit -d 'No removal by policy while a command runs'
complete -c wpcachectl -n $first -a history -d 'What was done, and how the sizes went'
complete -c wpcachectl -n $first -a watch -d 'Jobs and events as they happen'
complete -c wpcachectl -n $first -a metrics -d 'Figures for Prometheus'
complete -c wpcachectl -n $first -a reload -d 'Read the configuration again'
complete -c wpcachectl -n $first -a ssh-gate -d 'The allowed verb that an SSH client asks for'
complete -c wpcachectl -n $first -a version -d 'Versions of client and daemon'
complete -c wpcachectl -n $first -a help -d 'A summary'

complete -c wpcachectl -l json -a 'short pretty' -d 'Print the answer as JSON'
complete -c wpcachectl -s H -l host -x -a '(__fish_print_hostnames)' -d 'Ask that host'
complete -c wpcachectl -s H -l host -x -a '(__fish_complete_user_at_hosts)'
complete -c wpcachectl -l socket -r -F -d 'Socket of the daemon'
complete -c wpcachectl -s q -l quiet -d 'Print errors only'
complete -c wpcachectl -l color -a 'auto always never' -d 'Colour'
complete -c wpcachectl -l no-pager -d 'Accepted, there is no pager'
complete -c wpcachectl -s h -l help -d 'Print a summary'
complete -c wpcachectl -l version -d 'Print the version'

complete -c wpcachectl -n $of_target -a "$targets" -d Target
complete -c wpcachectl -n $of_target -l target -x -a "$targets" -d 'What to clear'
complete -c wpcachectl -n $of_target -l keep-mounts -d 'Keep RUN --mount=type=cache'
complete -c wpcachectl -n $of_target -l include-mounted -d 'Caches a running container has mounted'
complete -c wpcachectl -n $of_wait -l wait -x -a '0 90s 5min 30min 1h' -d 'How long to wait'
complete -c wpcachectl -n $of_wait -l no-wait -d 'The same as --wait 0'
complete -c wpcachectl -n $of_clear -l dry-run -d 'Say what would be removed'
complete -c wpcachectl -n $of_clear -l ignore-inhibitors -d 'Do not wait for inhibitors'
complete -c wpcachectl -n $of_inhibit -l why -x -d 'For whoever is kept waiting'
complete -c wpcachectl -n $of_inhibit -l ttl -x -a '10min 30min 1h 4h' -d 'Hold so long at most'
complete -c wpcachectl -n $of_inhibit -l require -d 'Without it do not run the command'
# the options that take an argument; "-" ends its own options
complete -c wpcachectl -n $of_inhibit -d Command \
    -xa '(__fish_complete_subcommand --fcs-skip=2 - --why --ttl --wait --socket)'
complete -c wpcachectl -n $of_history -l since -x -a '24h 7d 30d' -d 'How far back'
complete -c wpcachectl -n $of_gate -d 'May be used' \
    -a (string join ' ' (string match -v -r '^(inhibit|ssh-gate)$' $verbs))
