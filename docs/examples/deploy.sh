#!/bin/sh
# A deploy that wpcached keeps still for: wpcachectl inhibit --why deploy -- ./deploy.sh [--clear]
# In a function, since git may replace this file while it runs.
set -eu

deploy() {
        cd /srv/watch-party
        git pull --ff-only
        if [ "${1-}" = --clear ]; then
                wpcachectl clear --target all # what is left has it exit with 3, and ends the deploy
        fi
        GIT_COMMIT_HASH=$(git rev-parse HEAD)
        docker compose build --build-arg "GIT_COMMIT_HASH=$GIT_COMMIT_HASH"
        docker compose up --detach
}

deploy "$@"; exit
