/* SPDX-License-Identifier: MIT */

/* Tasks on several connections, and where there is but one to be had. */

#include <stdatomic.h>

#include "base/span.h"
#include "docker/parallel.h"
#include "docker/watch.h"
#include "engine.h"
#include "stub.h"

#define TASKS 20

typedef struct Work {
        _Atomic unsigned done[TASKS];
        size_t fails; /* the task that does; TASKS: none */
} Work;

static int work_on(Docker *docker, size_t i, void *userdata, Diag *reterr_diag) {
        Work *work = userdata;
        const EngineInfo *engine;
        int r;

        r = docker_negotiate(docker, &engine, reterr_diag);
        if (r < 0)
                return r;
        work->done[i]++;
        return i == work->fails ? diag_set(reterr_diag, -EBUSY, "task %zu", i) : 0;
}

/* The stub serves one connection after another, and the caller's is the first. */
static void test_one_connection(void **state) {
        Engine engine = { ENGINE_20 };
        cleanup(stub_free) Stub *stub = stub_new(serve, &engine);
        cleanup(docker_free) Docker *docker = NULL;
        Work work = { .fails = TASKS };
        Diag diag = DIAG_NULL;

        (void)state;
        assert_int_equal(docker_new(stub->path, 300 * USEC_PER_MSEC, USEC_PER_SEC, &docker), 0);
        assert_int_equal(docker_parallel(docker, TASKS, work_on, &work, &diag), 0);
        for (size_t i = 0; i < TASKS; i++)
                assert_int_equal(work.done[i], 1);

        work = (Work){ .fails = 7 };
        assert_int_equal(docker_parallel(docker, TASKS, work_on, &work, &diag), -EBUSY);
        assert_string_equal(diag.text, "task 7");
        assert_int_equal(work.done[7], 1);
        assert_int_equal(work.done[8], 0);
        assert_int_equal(docker_parallel(docker, 0, work_on, &work, &diag), 0);

        docker_interrupt(docker);
        assert_int_equal(docker_parallel(docker, TASKS, work_on, &work, &diag), -ECANCELED);
}

static Stub *wide_stub(StubHandler handler, const void *userdata) {
        Stub *stub = stub_new(handler, userdata);

        stub_widen(stub, STUB_MORE_MAX);
        return stub;
}

/* Tasks that wait until two of them run, each for two seconds at most. */
typedef struct Meeting {
        Work work;
        _Atomic unsigned n_running, n_met;
} Meeting;

static int meet(Docker *docker, size_t i, void *userdata, Diag *reterr_diag) {
        Meeting *meeting = userdata;
        uint64_t until_usec = now_boottime_usec() + 2 * USEC_PER_SEC;

        meeting->n_running++;
        while (meeting->n_running < 2 && meeting->n_met == 0 && now_boottime_usec() < until_usec)
                usleep(1000);
        meeting->n_met += meeting->n_running >= 2;
        meeting->n_running--;
        /* Those after the one that fails give its thread time to say so. */
        while (i > meeting->work.fails && meeting->work.done[meeting->work.fails] == 0 &&
               now_boottime_usec() < until_usec)
                usleep(1000);
        if (i > meeting->work.fails)
                usleep(20000);
        return work_on(docker, i, &meeting->work, reterr_diag);
}

static void test_several_connections(void **state) {
        Engine engine = { ENGINE_20 };
        cleanup(stub_free) Stub *stub = wide_stub(serve, &engine);
        cleanup(docker_free) Docker *docker = connect_to(stub);
        Meeting meeting = { .work.fails = TASKS };
        Diag diag = DIAG_NULL;

        (void)state;
        assert_int_equal(docker_parallel(docker, TASKS, meet, &meeting, &diag), 0);
        for (size_t i = 0; i < TASKS; i++)
                assert_int_equal(meeting.work.done[i], 1);
        assert_true(meeting.n_met > 0);
        assert_true(stub_n_connections(stub) >= 3);

        meeting.work = (Work){ .fails = 3 };
        assert_int_equal(docker_parallel(docker, TASKS, meet, &meeting, &diag), -EBUSY);
        assert_string_equal(diag.text, "task 3");
        assert_int_equal(meeting.work.done[TASKS - 1], 0);
}

static int wait_long(Docker *docker, size_t i, void *userdata, Diag *reterr_diag) {
        Work *work = userdata;

        (void)reterr_diag;
        work->done[i]++;
        return docker_wait(docker, 20 * USEC_PER_SEC);
}

static void test_interrupt_reaches_all_tasks(void **state) {
        Engine engine = { ENGINE_20 };
        cleanup(stub_free) Stub *stub = wide_stub(serve, &engine);
        cleanup(docker_free) Docker *docker = connect_to(stub);
        uint64_t begin_usec = now_boottime_usec();
        Work work = { .fails = TASKS };
        pthread_t thread;

        (void)state;
        assert_int_equal(pthread_create(&thread, NULL, interrupt_soon, docker), 0);
        assert_int_equal(docker_parallel(docker, TASKS, wait_long, &work, NULL), -ECANCELED);
        assert_int_equal(pthread_join(thread, NULL), 0);
        assert_true(now_boottime_usec() - begin_usec < 10 * USEC_PER_SEC);
}

/* Two tasks at once: one asks for the end, then the other one's connection fails. */
typedef struct Halting {
        _Atomic unsigned n_begun;
        _Atomic bool halted;
} Halting;

static int halt_or_fail(Docker *docker, size_t i, void *userdata, Diag *reterr_diag) {
        uint64_t until_usec = now_boottime_usec() + 2 * USEC_PER_SEC;
        Halting *halting = userdata;

        (void)docker;
        halting->n_begun++;
        while ((halting->n_begun < 2 || (i == 1 && !halting->halted)) &&
               now_boottime_usec() < until_usec)
                usleep(1000);
        if (i == 1) {
                usleep(50000);
                return diag_set(reterr_diag, -ECONNRESET, "reset");
        }
        halting->halted = true;
        return -EAGAIN;
}

static void test_failure_goes_before_a_halt(void **state) {
        Engine engine = { ENGINE_20 };
        cleanup(stub_free) Stub *stub = wide_stub(serve, &engine);
        cleanup(docker_free) Docker *docker = connect_to(stub);
        Halting halting = { 0 };
        Diag diag = DIAG_NULL;

        (void)state;
        assert_int_equal(docker_parallel(docker, 2, halt_or_fail, &halting, &diag), -ECONNRESET);
        assert_string_equal(diag.text, "reset");
}

/* The first connection is to one engine, those after it to another. */
typedef struct Replaced {
        Engine before, after;
        _Atomic int first_fd;
} Replaced;

static bool serve_replaced(Stub *stub, int fd, const char *request) {
        Replaced *replaced = (Replaced *)(uintptr_t)stub->userdata;
        Stub shown = { .stop_fd = stub->stop_fd };
        int none = -1;

        atomic_compare_exchange_strong(&replaced->first_fd, &none, fd);
        shown.userdata = fd == replaced->first_fd ? &replaced->before : &replaced->after;
        return serve(&shown, fd, request);
}

static void test_another_engine_answers(void **state) {
        Replaced replaced = { { ENGINE_20 }, { ENGINE_28 }, -1 };
        cleanup(stub_free) Stub *stub = wide_stub(serve_replaced, &replaced);
        cleanup(docker_free) Docker *docker = connect_to(stub);
        Work work = { .fails = TASKS };
        Diag diag = DIAG_NULL;

        (void)state;
        assert_int_equal(docker_parallel(docker, TASKS, work_on, &work, &diag), -ESTALE);
        assert_string_equal(diag.text, "the engine was replaced meanwhile");
}

/* How often the deadline that the caller's connection shows was later than at the call before. */
typedef struct Deadlines {
        Engine engine;
        Docker *docker; /* the caller's */
        uint64_t last_usec;
        unsigned n_later;
} Deadlines;

static bool serve_deadlines(Stub *stub, int fd, const char *request) {
        Deadlines *deadlines = (Deadlines *)(uintptr_t)stub->userdata;
        Stub shown = { .stop_fd = stub->stop_fd, .userdata = &deadlines->engine };
        uint64_t until_usec = now_boottime_usec() + USEC_PER_SEC, deadline_usec = 0;

        if (!strstr(request, "/images/slow/json"))
                return serve(&shown, fd, request);
        while (deadline_usec <= deadlines->last_usec && now_boottime_usec() < until_usec) {
                usleep(1000);
                deadline_usec = docker_call_deadline(deadlines->docker);
        }
        deadlines->n_later += deadline_usec > deadlines->last_usec;
        deadlines->last_usec = deadline_usec;
        return serve(&shown, fd, request);
}

static int make_calls(Docker *docker, size_t i, void *userdata, Diag *reterr_diag) {
        (void)i;
        (void)userdata;
        for (unsigned call = 0; call < 4; call++) {
                cleanup(image_detail_done) ImageDetail detail = { 0 };
                int r;

                r = docker_image(docker, "slow", &detail, reterr_diag);
                if (r != -ENOENT)
                        return r;
        }
        return 0;
}

/* The watchdog judges the worker by it, and a task may take longer than one call may. */
static void test_deadline_moves_with_each_call_of_a_task(void **state) {
        Deadlines deadlines = { .engine = { ENGINE_20 } };
        cleanup(stub_free) Stub *stub = wide_stub(serve_deadlines, &deadlines);

        (void)state;
        deadlines.docker = connect_to(stub);
        assert_int_equal(docker_parallel(deadlines.docker, 1, make_calls, NULL, NULL), 0);
        assert_int_equal(deadlines.n_later, 4);
        assert_int_equal(docker_call_deadline(deadlines.docker), 0);
        docker_free(deadlines.docker);
}

int main(void) {
        static const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_several_connections),
                cmocka_unit_test(test_interrupt_reaches_all_tasks),
                cmocka_unit_test(test_failure_goes_before_a_halt),
                cmocka_unit_test(test_another_engine_answers),
                cmocka_unit_test(test_deadline_moves_with_each_call_of_a_task),
                cmocka_unit_test(test_one_connection),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
