/* SPDX-License-Identifier: MIT */

/*
 * Threads take task after task until there are none. The caller's thread only waits, so that
 * docker_interrupt() on its connection reaches all of them; it does what they leave. The trap is an
 * engine (or a proxy before it) that serves fewer connections than these: that is no error.
 */

#include "docker/parallel.h"

#include <pthread.h>

#include "base/span.h"
#include "docker/call.h"
#include "docker/watch.h"

#define WAIT_USEC (5 * USEC_PER_MSEC)

typedef struct Team {
        const Docker *docker; /* the caller's, to compare engines with */
        size_t n;
        DockerTask task;
        void *userdata;
        pthread_mutex_t mutex; /* the rest is under it */
        size_t next;           /* task */
        size_t n_working;      /* threads */
        int error;             /* the first; any other goes before -EAGAIN */
        Diag diag;
} Team;

typedef struct Member {
        Team *team;
        Docker *docker;
        pthread_t thread;
} Member;

/* The next task; false: there is none, or one failed. */
static bool take_task(Team *team, size_t *ret) {
        bool take;

        pthread_mutex_lock(&team->mutex);
        take = team->error >= 0 && team->next < team->n;
        if (take)
                *ret = team->next++;
        pthread_mutex_unlock(&team->mutex);
        return take;
}

static void end_member(Team *team, int error, const Diag *diag) {
        pthread_mutex_lock(&team->mutex);
        team->n_working--;
        if (error < 0 && (team->error >= 0 || (team->error == -EAGAIN && error != -EAGAIN))) {
                team->error = error;
                team->diag = *diag;
        }
        pthread_mutex_unlock(&team->mutex);
}

static void *member_main(void *userdata) {
        Member *member = userdata;
        Team *team = member->team;
        Diag diag = DIAG_NULL;
        size_t i;
        int r = 0;

        pthread_setname_np(pthread_self(), "engine");
        while (r >= 0) {
                r = docker_join(member->docker, team->docker, &diag);
                if (r < 0 && r != -ESTALE) {
                        r = 0; /* what is left is done by others */
                        break;
                }
                if (r < 0 || !take_task(team, &i))
                        break;
                r = team->task(member->docker, i, team->userdata, &diag);
        }
        end_member(team, r, &diag);
        return NULL;
}

static bool is_working(Team *team) {
        bool working;

        pthread_mutex_lock(&team->mutex);
        working = team->n_working > 0;
        pthread_mutex_unlock(&team->mutex);
        return working;
}

/* A task may make several calls, so the caller's connection shows the deadline of the call that may
 * last longest; between calls, that of the call before. */
static void expect_latest(Docker *docker, const Member *members, size_t n_members) {
        uint64_t latest_usec = 0;

        for (size_t i = 0; i < n_members; i++)
                latest_usec = MAX(latest_usec, docker_call_deadline(members[i].docker));
        if (latest_usec > 0)
                docker_expect(docker, latest_usec);
}

/* Waits for all threads, which end by themselves: each call of theirs has its deadline. A wait that
 * fails (-ECANCELED, -ENOMEM) interrupts them. */
static int wait_for_team(Docker *docker, Team *team, Member *members, size_t n_members) {
        int r = 0;

        docker_expect(docker, now_boottime_usec() + docker_timeout(docker));
        while (r >= 0 && is_working(team)) {
                expect_latest(docker, members, n_members);
                r = docker_wait(docker, WAIT_USEC);
        }
        for (size_t i = 0; i < n_members && r < 0; i++)
                docker_interrupt(members[i].docker);
        for (size_t i = 0; i < n_members; i++)
                pthread_join(members[i].thread, NULL);
        docker_expect(docker, 0);
        return r;
}

static size_t start_team(Docker *docker, Team *team, Member *members) {
        size_t n = 0;

        for (size_t i = 0; i < MIN(team->n, (size_t)DOCKER_PARALLEL_MAX); i++) {
                Member *member = &members[n];

                *member = (Member){ .team = team };
                if (docker_clone(docker, &member->docker) < 0)
                        break;
                pthread_mutex_lock(&team->mutex);
                team->n_working++;
                pthread_mutex_unlock(&team->mutex);
                if (pthread_create(&member->thread, NULL, member_main, member) != 0) {
                        end_member(team, 0, NULL);
                        docker_free(member->docker);
                        break;
                }
                n++;
        }
        return n;
}

/* Runs the remaining tasks on the caller's connection, for example if no other connection could be
 * made. */
static int finish(Docker *docker, Team *team, Diag *reterr_diag) {
        int r = 0;

        while (r >= 0 && team->next < team->n)
                r = team->task(docker, team->next++, team->userdata, reterr_diag);
        return MIN(r, 0);
}

int docker_parallel(Docker *docker, size_t n, DockerTask task, void *userdata, Diag *reterr_diag) {
        Member members[DOCKER_PARALLEL_MAX];
        Team team = {
                .docker = docker,
                .n = n,
                .task = task,
                .userdata = userdata,
                .mutex = PTHREAD_MUTEX_INITIALIZER,
        };
        const EngineInfo *engine;
        size_t n_members;
        int r;

        r = docker_negotiate(docker, &engine, reterr_diag);
        if (r < 0)
                return r;
        n_members = start_team(docker, &team, members);
        r = wait_for_team(docker, &team, members, n_members);
        for (size_t i = 0; i < n_members; i++)
                docker_free(members[i].docker);
        if (docker_interrupted(docker))
                return -ECANCELED;
        if (r < 0) /* the threads' own -ECANCELED follows from it */
                return r;
        if (team.error >= 0)
                return finish(docker, &team, reterr_diag);
        if (reterr_diag)
                *reterr_diag = team.diag;
        return team.error;
}
