# fish completion for wpcachectl(1)

set -l verbs status clear rollback watch reload version help
set -l targets all docker builder images

complete -c wpcachectl -f
complete -c wpcachectl -n "not __fish_seen_subcommand_from $verbs" -a status -d 'How the caches stand'
complete -c wpcachectl -n "not __fish_seen_subcommand_from $verbs" -a clear -d 'Clear caches, and look again'
complete -c wpcachectl -n "not __fish_seen_subcommand_from $verbs" -a rollback -d 'Put the names a clear took back'
complete -c wpcachectl -n "not __fish_seen_subcommand_from $verbs" -a watch -d 'Jobs and events as they happen'
complete -c wpcachectl -n "not __fish_seen_subcommand_from $verbs" -a reload -d 'Read the configuration again'
complete -c wpcachectl -n "not __fish_seen_subcommand_from $verbs" -a version -d 'Versions of client and daemon'
complete -c wpcachectl -n "not __fish_seen_subcommand_from $verbs" -a help -d 'A summary'

complete -c wpcachectl -l json -a 'short pretty' -d 'Print the answer as JSON'
complete -c wpcachectl -l socket -r -F -d 'Socket of the daemon'
complete -c wpcachectl -s q -l quiet -d 'Print errors only'
complete -c wpcachectl -l color -a 'auto always never' -d 'Colour'
complete -c wpcachectl -l no-pager -d 'Accepted, there is no pager'
complete -c wpcachectl -s h -l help -d 'Print a summary'
complete -c wpcachectl -l version -d 'Print the version'

complete -c wpcachectl -n '__fish_seen_subcommand_from clear' -a "$targets" -d Target
complete -c wpcachectl -n '__fish_seen_subcommand_from clear' -l target -x -a "$targets" -d 'What to clear'
complete -c wpcachectl -n '__fish_seen_subcommand_from clear' -l keep-mounts -d 'Keep RUN --mount=type=cache'
complete -c wpcachectl -n '__fish_seen_subcommand_from clear' -l wait -x -a '0 90s 5min 30min 1h' -d 'Wait for builds'
complete -c wpcachectl -n '__fish_seen_subcommand_from clear' -l no-wait -d 'The same as --wait 0'
complete -c wpcachectl -n '__fish_seen_subcommand_from clear' -l dry-run -d 'Say what would be removed'
