/* SPDX-License-Identifier: MIT */

/* Tasks on several connections, and where there is but one to be had. */

#include <stdatomic.h>

#include "docker/parallel.h"
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

int main(void) {
        static const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_one_connection),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
