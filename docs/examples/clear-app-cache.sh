#!/bin/sh
# In the place of scripts/deployment/clear-app-cache.sh: the same arguments, and the words that
# workflows look for in its output, which are wpcachectl's own:
#
#     INFO: Clearing Docker build cache
#     Total reclaimed space: 2.5GB
#     SUCCESS: Docker build cache cleared
#
#     clear-app-cache.sh [--target] [all|frontend|backend]
#
# all is everything, Docker's caches included. frontend and backend are the applications of that name
# in wpcached.conf(5), or any other there, and are their own caches alone. All three need the sections
# [app frontend] and [app backend] that they name: without its section, the caches of an application
# stay, and the next build copies them into its image. Then nothing is cleared, and the exit status is 3.
#
# Its exit status is wpcachectl's. The script that was here before ended with 0 whatever happened; this
# one fails a workflow, and is right to, whenever the next build may still be stale:
#
#     3  something is left that a clear may not end, such as a running container that holds an image.
#        The REMAINING lines name it, and the command that ends it: run that, then this again.
#        Or an application that the target names is not configured; the ERROR line names its section.
#     6  the engine did not answer, or with an error; nothing was touched: the line tells where to look.
#     7  another job or an inhibitor, a deploy perhaps, lasted for longer than the wait: run it again.
#     4  this user may not: adduser USER wpcache.
#     5  there is no wpcachectl, or no wpcached that answers: systemctl status wpcached.
#     1  it failed, or its end was not seen: wpcachectl history tells.
#     2  it was asked for something that there is not.
#
# So no "|| true" after it, and no "continue-on-error".

fail() {
        status=$1
        shift
        echo "ERROR: $*" >&2
        exit "$status"
}

target=
while [ $# -gt 0 ]; do
        case $1 in
        --target)
                [ $# -gt 1 ] || fail 2 "--target wants one of all, frontend, backend"
                given=$2
                shift
                ;;
        --target=*) given=${1#--target=} ;;
        -h | --help)
                echo "usage: $0 [--target] [all|frontend|backend]"
                exit 0
                ;;
        -*) fail 2 "unknown option $1; usage: $0 [--target] [all|frontend|backend]" ;;
        *) given=$1 ;;
        esac
        [ -n "$given" ] || fail 2 "an empty target; there are all, frontend, backend"
        [ -z "$target" ] || [ "$target" = "$given" ] || fail 2 "two targets, $target and $given"
        target=$given
        shift
done

command -v wpcachectl >/dev/null 2>&1 ||
        fail 5 "wpcachectl is not installed, or not in PATH: no cache was cleared"

target=${target:-all}
case $target in
all) apps='frontend backend' ;;
frontend | backend) apps=$target ;;
*) apps= ;;
esac
if [ -n "$apps" ]; then
        state=$(wpcachectl --json=short status)
        status=$?
        # 8: an alarm stands, which is no reason not to clear
        [ "$status" -eq 0 ] || [ "$status" -eq 8 ] || exit "$status"
        for app in $apps; do
                case $state in
                *"\"name\":\"$app\",\"root\":"*) ;;
                *) fail 3 "no section [app $app] in the configuration of wpcached: the caches of" \
                        "$app can't be cleared, and nothing was; see wpcached.conf(5)" ;;
                esac
        done
fi
exec wpcachectl clear "--target=$target"
