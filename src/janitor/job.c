/* SPDX-License-Identifier: MIT */

/*
 * A queue in, a queue out, one mutex for both, an eventfd to wake the loop. The mutex is never
 * held while the engine or the store is asked. The trap is joining: a second caller may share a clear only if
 * everything will be looked at once more after it asked, so `proving` is set before each look that
 * may be the last and read under the same mutex.
 */

#include <fcntl.h>
#include <malloc.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>

#include "base/heartbeat.h"
#include "base/io.h"
#include "base/log.h"
#include "base/span.h"
#include "base/text.h"
#include "janitor/apps.h"
#include "janitor/history.h"
#include "janitor/job.h"
#include "janitor/queue.h"
#include "janitor/rollback.h"

/* What a call may take past its deadline before the thread counts as hung. */
#define HUNG_USEC (30 * USEC_PER_SEC)
/* What the thread may take between two signs of life, which the loop looks for every few seconds. A
 * host that was asleep meanwhile counts as one look. */
#define SILENT_USEC (5 * USEC_PER_MINUTE)
#define SILENT_STEP_USEC USEC_PER_MINUTE
/* Of a poll: for the applications. */
#define WATCH_USEC (20 * USEC_PER_SEC)
/* A sweep goes on for this long before it makes way for callers that only look. */
#define SWEEP_SLICE_USEC (2 * USEC_PER_SEC)

struct Worker {
        WorkerKind kind;
        pthread_t thread;
        int event_fd;
        Store *store;

        pthread_mutex_t mutex;
        pthread_cond_t wake; /* a job, or stop */
        Job *queue;          /* in the order they will be done */
        Job *running;
        bool proving; /* of the running job */
        bool stop, stopped;
        JobEvent *events, **events_tail;
        Docker *docker; /* changed under the mutex, used by the thread */

        Heartbeat heartbeat; /* the thread's */
        /* The loop's own: how the heartbeat was at the last look. */
        uint64_t beats, looked_usec, silent_usec;

        /* The thread's own. */
        Memory memory; /* the janitor's */
        Diag damage;   /* to be told with the next job that is done, or "" */
        char *docker_socket;
        uint64_t timeout_usec, prune_timeout_usec;
        Receipt settling;     /* of the last clear */
        uint64_t settle_usec; /* when to complete it, CLOCK_BOOTTIME; 0: done */
        AppsWatch apps;
        uint64_t idle_until_usec;  /* what may be left for later ends then */
        uint64_t slice_until_usec; /* and from then on also when a caller who only looks waits */
};

const char *job_kind_to_string(JobKind kind) {
        static const char *const names[] = {
                [JOB_POLL] = "poll",   [JOB_CLEAR] = "clear",     [JOB_ROLLBACK] = "rollback",
                [JOB_PASS] = "policy", [JOB_PLAN] = "plan",       [JOB_EXPLAIN] = "explain",
                [JOB_SWEEP] = "sweep", [JOB_HISTORY] = "history", [JOB_TEXTFILE] = "textfile",
        };

        return names[kind];
}

Job *job_free(Job *job) {
        if (job) {
                config_free(job->config);
                free(job->who.user);
                free(job->who.command);
                strv_done(&job->notes);
                free(job->receipt_id);
                free(job->object);
                free(job->text);
                json_free(job->result);
                json_free(job->told);
                json_free(job->apps);
                strv_done(&job->swept_left);
                summary_done(&job->summary);
                free(job);
        }
        return NULL;
}

JobEvent *job_event_free(JobEvent *event) {
        if (event) {
                job_free(event->job);
                free(event);
        }
        return NULL;
}

/* Takes `event` over; NULL (out of memory) loses a progress line, never a result: see post_done(). */
static void post(Worker *worker, JobEvent *event) {
        if (!event)
                return;
        event->time_sec = now_realtime_sec();
        pthread_mutex_lock(&worker->mutex);
        *worker->events_tail = event;
        worker->events_tail = &event->next;
        pthread_mutex_unlock(&worker->mutex);
        eventfd_write(worker->event_fd, 1);
}

static JobEvent *event_new(JobEventKind kind, const Job *job) {
        JobEvent *event = calloc(1, sizeof(*event));

        if (event) {
                event->kind = kind;
                strcpy(event->job_id, job->id);
                event->job_kind = job->kind;
                if (job->kind == JOB_CLEAR)
                        strcpy(event->target,
                               target_to_string(job->options.target, job->options.app));
        }
        return event;
}

static void on_progress(void *userdata, const char *step, const char *message, unsigned pass,
                        uint64_t engine_bytes) {
        Worker *worker = userdata;
        JobEvent *event = event_new(JOB_EVENT_PROGRESS, worker->running);

        if (!event)
                return;
        snprintf(event->step, sizeof(event->step), "%s", step);
        snprintf(event->message, sizeof(event->message), "%s", message);
        event->pass = pass;
        event->engine_bytes = engine_bytes;
        post(worker, event);
}

static void on_proving(void *userdata, bool proving) {
        Worker *worker = userdata;

        pthread_mutex_lock(&worker->mutex);
        worker->proving = proving;
        pthread_mutex_unlock(&worker->mutex);
}

/* What ends a wait early. */
static bool worker_stops(Worker *worker) {
        return worker->stop;
}

static bool job_waits(Worker *worker) {
        return worker->stop || worker->queue;
}

/* Sleeps until `usec` are over or `over` is true. */
static void wait_locked(Worker *worker, uint64_t usec, bool (*over)(Worker *worker)) {
        uint64_t end_usec = now_boottime_usec() + usec, now_usec;
        struct timespec ts;

        while (!over(worker) && (now_usec = now_boottime_usec()) < end_usec) {
                heartbeat();
                clock_gettime(CLOCK_MONOTONIC, &ts);
                ts.tv_sec += (time_t)((end_usec - now_usec) / USEC_PER_SEC);
                ts.tv_nsec += (long)((end_usec - now_usec) % USEC_PER_SEC * 1000);
                if (ts.tv_nsec >= 1000000000L) {
                        ts.tv_sec++;
                        ts.tv_nsec -= 1000000000L;
                }
                pthread_cond_timedwait(&worker->wake, &worker->mutex, &ts);
        }
}

static int on_pause(void *userdata, uint64_t usec) {
        Worker *worker = userdata;
        bool stop;

        pthread_mutex_lock(&worker->mutex);
        wait_locked(worker, usec, worker_stops);
        stop = worker->stop;
        pthread_mutex_unlock(&worker->mutex);
        return stop ? -ECANCELED : 0;
}

/* Whether the connection at hand is the one that this configuration asks for. */
static bool docker_fits(const Worker *worker, const Config *config) {
        return worker->docker && strcmp(worker->docker_socket, config->docker_socket) == 0 &&
               worker->timeout_usec == config->timeout_usec &&
               worker->prune_timeout_usec == config->prune_timeout_usec;
}

/* The connection to the engine that this job's configuration asks for. */
static int use_docker(Worker *worker, const Config *config) {
        cleanup(docker_free) Docker *docker = NULL;
        cleanup_free char *socket = NULL;
        Docker *old;
        int r;

        if (docker_fits(worker, config))
                return 0;
        socket = strdup(config->docker_socket);
        if (!socket)
                return -ENOMEM;
        r = docker_new(config->docker_socket, config->timeout_usec, config->prune_timeout_usec,
                       &docker);
        if (r < 0)
                return r;
        free(worker->docker_socket);
        worker->docker_socket = TAKE_PTR(socket);
        worker->timeout_usec = config->timeout_usec;
        worker->prune_timeout_usec = config->prune_timeout_usec;

        pthread_mutex_lock(&worker->mutex);
        old = worker->docker;
        worker->docker = TAKE_PTR(docker);
        if (worker->stop)
                docker_interrupt(worker->docker);
        pthread_mutex_unlock(&worker->mutex);
        docker_free(old);
        return 0;
}

/* Completes the figure of freed disk in the receipt of the last clear, if it is still to be done. */
static void settle(Worker *worker) {
        cleanup(json_free) Json *json = NULL;
        Receipt *receipt = &worker->settling;
        Run run;

        if (worker->settle_usec == 0)
                return;
        worker->settle_usec = 0;
        receipt_measure_disks(receipt);
        receipt_run(receipt, &run);
        json = receipt_json(receipt);
        if (!json || store_write_run(worker->store, &run, json, NULL) < 0)
                log_debug("Receipt %s stays without its final figure of freed disk", receipt->id);
        receipt_done(receipt);
}

static void settle_later(Worker *worker, Receipt *receipt) {
        if (receipt->passes == 0)
                return;
        worker->settling = *receipt;
        *receipt = (Receipt){ 0 };
        worker->settle_usec = now_boottime_usec() + DISK_SETTLE_USEC;
}

/* Allocated before the job begins: a job that was done must be able to say so. */
static JobEvent *done_event_new(const Job *job) {
        JobEvent *event;

        while (!(event = event_new(JOB_EVENT_DONE, job)))
                usleep(100 * USEC_PER_MSEC);
        return event;
}

/* What the store lost, and how it stands, is told with each job that is done. */
static void tell_store(Worker *worker, JobEvent *done) {
        Diag damage;

        if (store_take_damage(worker->store, &damage)) {
                worker->damage = damage;
                worker->memory.sampled_age_sec = -1; /* what is in memory is stored anew */
        }
        snprintf(done->damage, sizeof(done->damage), "%s", worker->damage.text);
        worker->damage = DIAG_NULL;
        if (worker->kind == WORKER_JANITOR)
                store_state(worker->store, &done->store);
}

void job_shorten(Job *job) {
        cleanup_free char *text = job->result ? json_text(job->result) : NULL;

        if (!job->result || (text && strlen(text) <= JOB_TOLD_BYTES_MAX))
                return;
        job->told = text ? json_copy(job->result) : NULL;
        job->untold = job->told ? json_shorten(job->told, JOB_TOLD_BYTES_MAX) : -ENOMEM;
        if (job->untold < 0)
                job->told = json_free(job->told);
}

static int run_clear(Worker *worker, Job *job, const Reporter *reporter, Receipt *receipt) {
        int r;

        *receipt = (Receipt){
                .target = job->options.target,
                .who = job->who,
                .started_sec = job->started_sec,
                .keep_mounts = job->options.keep_mounts,
                .notes = job->notes,
        };
        job->who.user = job->who.command = NULL; /* the receipt's now */
        job->notes = STRV_NULL;
        strcpy(receipt->id, job->id);
        strcpy(receipt->app, job->options.app);
        if (!job->options.dry_run)
                worker->apps.looked_usec = 0; /* whatever comes of it */
        r = clear_run(worker->docker, job->config, &worker->memory, &job->options, reporter,
                      receipt, &job->result, &job->local_failure, &job->diag);
        job->outcome = receipt->outcome;
        job->n_remaining = receipt->remaining.n;
        if (!job->result && (r >= 0 || receipt->passes > 0)) {
                job->result = receipt_json(receipt);
                if (!job->result && r >= 0)
                        r = -ENOMEM;
        }
        return r;
}

/* Jobs that run while a clear waits are not the current job, which is the one whose progress is told. */
static void on_no_progress(void *userdata, const char *step, const char *message, unsigned pass,
                           uint64_t engine_bytes) {
        (void)userdata;
        (void)step;
        (void)message;
        (void)pass;
        (void)engine_bytes;
}

static void on_no_proving(void *userdata, bool proving) {
        (void)userdata;
        (void)proving;
}

static int run_look(Worker *worker, Job *job) {
        Reporter reporter = { on_no_progress, on_no_proving, on_pause, worker };
        cleanup(receipt_done) Receipt receipt = { 0 };

        switch (job->kind) {
        case JOB_POLL:
                return poll_run(worker->docker, job->config, &worker->memory, &job->around,
                                &job->summary, &job->diag);
        case JOB_PLAN:
                return plan_run(worker->docker, job->config, &worker->memory, &job->around,
                                &job->result, &job->diag);
        case JOB_EXPLAIN:
                return explain_run(worker->docker, job->config, &worker->memory, &job->around,
                                   job->object, &job->result, &job->diag);
        default: /* a dry run */
                return run_clear(worker, job, &reporter, &receipt);
        }
}

static bool is_look(const Job *job) {
        return job->kind == JOB_PLAN || job->kind == JOB_EXPLAIN ||
               (job->kind == JOB_CLEAR && job->options.dry_run);
}

/* A queued poll, or with `looks` also the look of a caller, that can use the engine connection of the job in
 * progress. After a reload that changed the engine's socket they wait for that job to end. */
static Job **queued_look(Worker *worker, bool looks) {
        for (Job **at = &worker->queue; *at; at = &(*at)->next)
                if (((*at)->kind == JOB_POLL || (looks && is_look(*at))) &&
                    docker_fits(worker, (*at)->config))
                        return at;
        return NULL;
}

static bool look_waits(Worker *worker) {
        return worker->stop || queued_look(worker, true);
}

static void run_queued_look(Worker *worker, Job *job) {
        JobEvent *done = done_event_new(job);

        job->started_sec = now_realtime_sec();
        job->error = run_look(worker, job);
        job_shorten(job);
        tell_store(worker, done);
        done->job = job;
        post(worker, done);
}

/*
 * A clear may wait half an hour for a build to end, and polls and looks go on meanwhile. They may: while it
 * pauses a clear is in the middle of no call, and it reads what is remembered of images anew after each
 * pause. Callers may look as fast as they are answered, so none of their looks begins once the pause is over.
 */
static int on_clear_pause(void *userdata, uint64_t usec) {
        uint64_t end_usec = now_boottime_usec() + usec, now_usec = end_usec - usec;
        Worker *worker = userdata;
        bool stop;
        Job **at;

        pthread_mutex_lock(&worker->mutex);
        for (;;) {
                Job *job;

                wait_locked(worker, end_usec > now_usec ? end_usec - now_usec : 0, look_waits);
                now_usec = now_boottime_usec();
                at = worker->stop ? NULL : queued_look(worker, now_usec < end_usec);
                if (!at)
                        break;
                job = *at;
                *at = job->next;
                job->next = NULL;
                pthread_mutex_unlock(&worker->mutex);
                run_queued_look(worker, job);
                now_usec = now_boottime_usec();
                pthread_mutex_lock(&worker->mutex);
        }
        stop = worker->stop;
        pthread_mutex_unlock(&worker->mutex);
        return stop ? -ECANCELED : 0;
}

static int run_rollback(Worker *worker, Job *job) {
        Run run = { .kind = "rollback", .started_sec = job->started_sec };
        int r;

        r = rollback_run(worker->docker, worker->store, job->receipt_id, &job->result,
                         &job->local_failure, &job->diag);
        if (r < 0)
                return r;
        strcpy(run.id, job->id);
        if (job->who.user)
                snprintf(run.who, sizeof(run.who), "%s", job->who.user);
        run.finished_sec = now_realtime_sec();
        json_foreach (name, json_get(job->result, "skipped"))
                run.n_remaining += !json_get_bool(name, "deleted", false);
        strcpy(run.outcome, run.n_remaining > 0 ? "left" : "done");
        r = json_add_int(job->result, "failed", (int64_t)run.n_remaining);
        if (r >= 0)
                r = store_write_run(worker->store, &run, job->result, &job->diag);
        if (r == -ENOMEM) {
                job->local_failure = true;
                return diag_wrap(&job->diag, r,
                                 "the names are back, but that could not be recorded");
        }
        return 0; /* else the store keeps it */
}

static int run_pass(Worker *worker, Job *job) {
        Reporter reporter = { on_progress, on_proving, on_pause, worker };

        return pass_run(worker->docker, job->config, &worker->memory, &job->around, job->id,
                        &reporter, &job->result, &job->n_remaining, &job->local_failure,
                        &job->diag);
}

/*
 * A search for caches and a sweep make way for all other jobs: at once for those that the daemon or
 * an operator needs, at the end of their slice for those that only look. Looks may come without end,
 * and would otherwise keep them from ever being finished.
 */
static int on_hurry(void *userdata, uint64_t usec) {
        Worker *worker = userdata;
        uint64_t until_usec = worker->idle_until_usec;
        bool now = false;

        (void)usec;
        pthread_mutex_lock(&worker->mutex);
        if (worker->queue) { /* the most urgent is the first */
                now = job_urgency(worker->queue) < URGENCY_LOOK;
                until_usec = MIN(until_usec, worker->slice_until_usec);
        }
        now = now || worker->stop;
        pthread_mutex_unlock(&worker->mutex);
        return now || now_boottime_usec() > until_usec ? -ECANCELED : 0;
}

static int run_poll(Worker *worker, Job *job) {
        Reporter reporter = { on_progress, on_proving, on_hurry, worker };
        int r, k;

        r = poll_run(worker->docker, job->config, &worker->memory, &job->around, &job->summary,
                     &job->diag);
        worker->idle_until_usec = now_boottime_usec() + WATCH_USEC;
        worker->slice_until_usec = worker->idle_until_usec; /* it is done every ten minutes */
        k = r == -ECANCELED ? 0
                            : apps_watch(&worker->apps, job->config, job->generation, &reporter,
                                         &job->apps);
        if (k < 0)
                log_debug("The applications were not looked at: %s", error_text(k));
        return r;
}

static int run_sweep(Worker *worker, Job *job) {
        Reporter reporter = { on_progress, on_proving, on_hurry, worker };
        cleanup(apps_work_done) AppsWork work = {
                .config = job->config,
                .store = worker->store,
                .reporter = &reporter,
        };
        int r;

        worker->idle_until_usec = USEC_INFINITY;
        worker->slice_until_usec = now_boottime_usec() + SWEEP_SLICE_USEC;
        r = apps_sweep(&work);
        if (r >= 0)
                r = remaining_close(&work.remaining);
        job->n_swept = work.n_removed;
        job->swept_bytes = work.bytes;
        for (size_t i = 0; i < work.remaining.n && r >= 0; i++) {
                const Remaining *left = &work.remaining.v[i];
                cleanup_free char *text = text_format("%s: %s", left->object, left->reason);

                r = text ? strv_add(&job->swept_left, text) : -ENOMEM;
        }
        for (size_t i = 0; i < work.notes.n && r >= 0; i++)
                r = strv_add(&job->swept_left, work.notes.v[i]);
        return r;
}

static int write_textfile(Job *job) {
        const char *path = job->config->metrics_textfile;
        int r;

        r = file_write_atomic(AT_FDCWD, path, job->text, strlen(job->text), 0644);
        return r < 0 ? diag_set(&job->diag, r, "%s", error_text(r)) : 0;
}

static bool needs_docker(JobKind kind) {
        return kind != JOB_SWEEP && kind != JOB_HISTORY && kind != JOB_TEXTFILE;
}

static int run_job(Worker *worker, Job *job, Receipt *receipt) {
        int r;

        if (needs_docker(job->kind)) {
                r = use_docker(worker, job->config);
                if (r < 0)
                        return r;
        }
        switch (job->kind) {
        case JOB_POLL:
                return run_poll(worker, job);
        case JOB_SWEEP:
                return run_sweep(worker, job);
        case JOB_CLEAR:
                return run_clear(worker, job,
                                 &(Reporter){ on_progress, on_proving, on_clear_pause, worker },
                                 receipt);
        case JOB_ROLLBACK:
                return run_rollback(worker, job);
        case JOB_PASS:
                return run_pass(worker, job);
        case JOB_PLAN:
                return plan_run(worker->docker, job->config, &worker->memory, &job->around,
                                &job->result, &job->diag);
        case JOB_EXPLAIN:
                return explain_run(worker->docker, job->config, &worker->memory, &job->around,
                                   job->object, &job->result, &job->diag);
        case JOB_HISTORY:
                return history_run(worker->store, job->since_sec, job->limit, job->receipt_id,
                                   &job->result, &job->diag);
        case JOB_TEXTFILE:
                return write_textfile(job);
        }
        return -EINVAL;
}

static void run(Worker *worker, Job *job, bool stop) {
        cleanup(receipt_done) Receipt receipt = { 0 };
        JobEvent *done = done_event_new(job);
        int r;

        if (job->kind != JOB_POLL)
                settle(worker); /* as far as it came: what follows moves the figure */
        if (stop) {
                r = -ECANCELED;
        } else {
                post(worker, event_new(JOB_EVENT_STARTED, job));
                r = run_job(worker, job, &receipt);
        }
        job->error = r;
        job_shorten(job);
        job->unwritten = store_keeps_run(worker->store, job->id);
        tell_store(worker, done);

        pthread_mutex_lock(&worker->mutex);
        worker->running = NULL;
        pthread_mutex_unlock(&worker->mutex);
        done->job = job;
        post(worker, done);
        if (r >= 0)
                settle_later(worker, &receipt);
}

/* That the file can't be opened is told as the state of the store. */
static void recall(Worker *worker) {
        StoreState state;
        int r;

        if (worker->kind != WORKER_JANITOR)
                return;
        r = memory_load(worker->store, &worker->memory, &worker->damage);
        store_state(worker->store, &state);
        if (r < 0 && !state.readable)
                worker->damage = DIAG_NULL;
        else if (r < 0)
                diag_wrap(&worker->damage, r, "what was remembered of images cannot be read");
}

static void keep(Worker *worker) {
        Diag diag = DIAG_NULL;
        int r;

        if (worker->kind != WORKER_JANITOR)
                return;
        r = memory_save(&worker->memory, &diag);
        if (r >= 0)
                r = store_write_kept(worker->store, &diag);
        if (r < 0)
                log_debug("What was remembered since the last poll is lost: %s",
                          diag_text(&diag, r));
        memory_done(&worker->memory);
}

static void *worker_main(void *userdata) {
        Worker *worker = userdata;

        pthread_setname_np(pthread_self(), worker->kind == WORKER_JANITOR ? "janitor" : "reader");
        heartbeat_count(&worker->heartbeat);
        recall(worker);
        pthread_mutex_lock(&worker->mutex);
        for (;;) {
                Job *job;
                bool stop;

                while (!worker->queue && !worker->stop && worker->settle_usec == 0)
                        pthread_cond_wait(&worker->wake, &worker->mutex);
                if (!worker->queue && worker->settle_usec > 0) {
                        uint64_t now_usec = now_boottime_usec();

                        if (now_usec < worker->settle_usec)
                                wait_locked(worker, worker->settle_usec - now_usec, job_waits);
                        if (worker->queue)
                                continue;
                        pthread_mutex_unlock(&worker->mutex);
                        settle(worker);
                        pthread_mutex_lock(&worker->mutex);
                        continue;
                }
                job = worker->queue;
                if (!job)
                        break;
                heartbeat();
                worker->queue = job->next;
                job->next = NULL;
                job->started_sec = now_realtime_sec();
                worker->running = job;
                worker->proving = false;
                stop = worker->stop;
                pthread_mutex_unlock(&worker->mutex);

                run(worker, job, stop);
                malloc_trim(0); /* an inventory is large, an idle daemon is not */

                pthread_mutex_lock(&worker->mutex);
        }
        pthread_mutex_unlock(&worker->mutex);
        keep(worker);
        pthread_mutex_lock(&worker->mutex);
        worker->stopped = true;
        pthread_mutex_unlock(&worker->mutex);
        eventfd_write(worker->event_fd, 1);
        return NULL;
}

int worker_new(WorkerKind kind, Store *store, Worker **ret) {
        pthread_condattr_t attr;
        Worker *worker;
        int r;

        worker = calloc(1, sizeof(*worker));
        if (!worker)
                return -ENOMEM;
        worker->kind = kind;
        worker->store = store;
        worker->events_tail = &worker->events;
        worker->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        if (worker->event_fd < 0) {
                r = -errno;
                free(worker);
                return r;
        }
        pthread_mutex_init(&worker->mutex, NULL);
        pthread_condattr_init(&attr);
        pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
        pthread_cond_init(&worker->wake, &attr);
        pthread_condattr_destroy(&attr);
        r = pthread_create(&worker->thread, NULL, worker_main, worker);
        if (r != 0) {
                pthread_cond_destroy(&worker->wake);
                pthread_mutex_destroy(&worker->mutex);
                close(worker->event_fd);
                free(worker);
                return -r;
        }
        *ret = worker;
        return 0;
}

Worker *worker_free(Worker *worker) {
        JobEvent *event;

        if (!worker)
                return NULL;
        worker_stop(worker);
        pthread_join(worker->thread, NULL);
        while ((event = worker_next_event(worker)))
                job_event_free(event);
        docker_free(worker->docker);
        free(worker->docker_socket);
        pthread_cond_destroy(&worker->wake);
        pthread_mutex_destroy(&worker->mutex);
        close(worker->event_fd);
        free(worker);
        return NULL;
}

int worker_fd(const Worker *worker) {
        return worker->event_fd;
}

JobEvent *worker_next_event(Worker *worker) {
        JobEvent *event;
        eventfd_t count;

        pthread_mutex_lock(&worker->mutex);
        event = worker->events;
        if (event) {
                worker->events = event->next;
                if (!worker->events)
                        worker->events_tail = &worker->events;
                event->next = NULL;
        } else {
                eventfd_read(worker->event_fd, &count);
        }
        pthread_mutex_unlock(&worker->mutex);
        return event;
}

static bool is_once(JobKind kind) {
        return kind == JOB_POLL || kind == JOB_PASS || kind == JOB_TEXTFILE;
}

void worker_submit(Worker *worker, Job *job) {
        bool queued = false;

        pthread_mutex_lock(&worker->mutex);
        for (const Job *other = worker->queue; other; other = other->next)
                queued = queued || other->kind == job->kind;
        if (queued && is_once(job->kind))
                job_free(job);
        else
                queue_add(&worker->queue, job);
        pthread_cond_signal(&worker->wake);
        pthread_mutex_unlock(&worker->mutex);
}

Job *worker_withdraw(Worker *worker, const char *job_id) {
        Job *found = NULL;

        pthread_mutex_lock(&worker->mutex);
        for (Job **at = &worker->queue; *at; at = &(*at)->next) {
                if (strcmp((*at)->id, job_id) != 0)
                        continue;
                found = *at;
                *at = found->next;
                found->next = NULL;
                break;
        }
        pthread_mutex_unlock(&worker->mutex);
        return found;
}

static bool shareable(const Job *job, const ClearOptions *options, unsigned generation) {
        return job->kind == JOB_CLEAR && job->generation == generation &&
               job->options.target == options->target &&
               strcmp(job->options.app, options->app) == 0 &&
               job->options.include_mounted == options->include_mounted &&
               job->options.keep_mounts == options->keep_mounts &&
               job->options.dry_run == options->dry_run &&
               job->options.wait_usec == options->wait_usec;
}

bool worker_find_clear(Worker *worker, const ClearOptions *options, unsigned generation,
                       char ret_id[static RECEIPT_ID_MAX]) {
        const Job *found = NULL;

        pthread_mutex_lock(&worker->mutex);
        if (worker->running && !worker->proving && shareable(worker->running, options, generation))
                found = worker->running;
        for (const Job *job = worker->queue; job && !found; job = job->next)
                if (shareable(job, options, generation))
                        found = job;
        if (found)
                strcpy(ret_id, found->id);
        pthread_mutex_unlock(&worker->mutex);
        return found;
}

size_t worker_queued(Worker *worker) {
        size_t n = 0;

        pthread_mutex_lock(&worker->mutex);
        for (const Job *job = worker->queue; job; job = job->next)
                n += job->kind == JOB_CLEAR || job->kind == JOB_ROLLBACK;
        pthread_mutex_unlock(&worker->mutex);
        return n;
}

void worker_stop(Worker *worker) {
        pthread_mutex_lock(&worker->mutex);
        worker->stop = true;
        if (worker->docker)
                docker_interrupt(worker->docker);
        pthread_cond_signal(&worker->wake);
        pthread_mutex_unlock(&worker->mutex);
}

bool worker_stopped(Worker *worker) {
        bool stopped;

        pthread_mutex_lock(&worker->mutex);
        stopped = worker->stopped && !worker->events;
        pthread_mutex_unlock(&worker->mutex);
        return stopped;
}

bool worker_healthy(Worker *worker) {
        uint64_t until_usec, now_usec = now_boottime_usec(), beats = worker->heartbeat;
        bool busy;

        pthread_mutex_lock(&worker->mutex);
        until_usec = worker->docker ? docker_call_deadline(worker->docker) : 0;
        busy = worker->running || worker->queue;
        pthread_mutex_unlock(&worker->mutex);
        if (until_usec > 0)
                return now_usec < until_usec + HUNG_USEC;

        if (busy && beats == worker->beats)
                worker->silent_usec += MIN(now_usec - worker->looked_usec, SILENT_STEP_USEC);
        else
                worker->silent_usec = 0;
        worker->beats = beats;
        worker->looked_usec = now_usec;
        return worker->silent_usec < SILENT_USEC;
}
