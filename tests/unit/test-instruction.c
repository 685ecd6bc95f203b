/* SPDX-License-Identifier: MIT */

/* Texts as engines 20.10 and 28.5 write them into an image's history. */

#include <string.h>

#include "test.h"

#include "base/text.h"
#include "janitor/instruction.h"
#include "store/facts.h"

static void test_normal(void **state) {
        static const struct {
                const char *normal, *texts[4];
        } cases[] = {
                { "COPY /app",
                  { "COPY requirements.txt /app/ # buildkit",
                    "/bin/sh -c #(nop) COPY file:094fb92d7a78266e75626d804b5f588bde5db2eb in /app/ ",
                    "COPY --chown=1000:1000 a b /app # buildkit" } },
                { "COPY .",
                  { "COPY src ./ # buildkit",
                    "/bin/sh -c #(nop) COPY dir:b03ded9ba60d2564 in . " } },
                { "COPY /",
                  { "COPY rootfs / # buildkit", "/bin/sh -c #(nop) COPY dir:b03d in / " } },
                { "ADD src",
                  { "ADD src src/ # buildkit", "/bin/sh -c #(nop) ADD dir:b0 in src/ " } },
                { "cp a b && echo hi",
                  { "RUN /bin/sh -c cp a b &&     echo hi # buildkit",
                    "/bin/sh -c cp a b && \techo hi", "|1 V=1 /bin/sh -c cp a b && echo hi",
                    "RUN |2 V=2 W=two words /bin/sh -c cp a b && echo hi # buildkit" } },
                { "/bin/cp a b",
                  { "/bin/cp a b", "|1 V=1 /bin/cp a b", "RUN /bin/cp a b # buildkit" } },
                /* The shell of RUN is left out: bash by SHELL, busybox, the exec form. */
                { "npm ci",
                  { "/bin/bash -o pipefail -c npm ci", "|1 V=1 bash -euo pipefail -c npm ci",
                    "RUN |1 V=1 busybox sh -ec npm ci # buildkit", "npm ci" } },
                { "npm ci",
                  { "RUN npm ci # buildkit", "|2 V=1 W= npm ci", "/bin/bash -lc npm ci" } },
                { "bash -c npm ci", { "/bin/sh -c bash -c npm ci" } },
                { "python -c x", { "python -c x" } },
                { "/opt/install.sh -c x", { "/opt/install.sh -c x" } },
                { "sh", { "/bin/sh -c sh", "sh" } },
                { "sh -x", { "sh -x" } },
                { "", { "/bin/sh -c", "sh -c " } },
                /* Where a value may hold blanks, nothing but the first name is a name. */
                { "ENV A",
                  { "ENV A=1 B=two words", "/bin/sh -c #(nop)  ENV A=1 B=two words",
                    "ENV A=b=2 c d B=", "ENV A" } },
                { "ENV JAVA_OPTS",
                  { "ENV JAVA_OPTS=-Xmx1g -Da=1", "/bin/sh -c #(nop)  ENV JAVA_OPTS=-Xmx1g -Da=1",
                    "ENV JAVA_OPTS=-Da=1 -Db=2", "/bin/sh -c #(nop)  ENV JAVA_OPTS=-Da=1 -Db=2" } },
                { "LABEL of",
                  { "LABEL of=others a=\"two words\"", "/bin/sh -c #(nop)  LABEL of=us a=1" } },
                { "LABEL d",
                  { "LABEL d=see http://h/?a=1 and c=2",
                    "/bin/sh -c #(nop)  LABEL d=see http://h/?b=1 or d=2" } },
                { "ONBUILD", { "/bin/sh -c #(nop)  ONBUILD COPY . /app", "ONBUILD" } },
                { "ENV", { "ENV" } },
                { "ARG V", { "ARG V", "ARG V=1", "/bin/sh -c #(nop)  ARG V=2" } },
                { "ARG V", { "ARG V=1 W", "ARG V W=2" } },
                { "ARG O",
                  { "ARG O=a b", "ARG O=a c", "/bin/sh -c #(nop)  ARG O=a b",
                    "/bin/sh -c #(nop)  ARG O=a c" } },
                { "EXPOSE",
                  { "EXPOSE map[8000/tcp:{}]", "EXPOSE [8000/tcp]",
                    "/bin/sh -c #(nop)  EXPOSE 8000" } },
                { "HEALTHCHECK",
                  { "HEALTHCHECK &{[\"CMD-SHELL\" \"true\"] \"0s\"}",
                    "/bin/sh -c #(nop)  HEALTHCHECK &{[CMD-SHELL true] 0s}" } },
                { "CMD [\"sleep #\"]",
                  { "CMD [\"sleep 100\"]", "/bin/sh -c #(nop)  CMD [\"sleep 100\"]" } },
                { "WORKDIR /app", { "WORKDIR /app", "/bin/sh -c #(nop) WORKDIR /app" } },
                /* What the next release has otherwise. */
                { "WORKDIR /srv/v#",
                  { "WORKDIR /srv/v12", "/bin/sh -c #(nop) WORKDIR /srv/v13",
                    "WORKDIR /srv/v2-rc1" } },
                { "COPY /srv/#/app",
                  { "COPY src /srv/2026-11-30/app/ # buildkit",
                    "/bin/sh -c #(nop) COPY dir:1 in /srv/2026-12-01/app " } },
                { "useradd app-#",
                  { "/bin/sh -c useradd app-4be1a2c",
                    "RUN /bin/sh -c useradd app-f00d123 # buildkit" } },
                /* What a newer base image has otherwise. */
                { "ENV PYTHON_VERSION",
                  { "ENV PYTHON_VERSION=3.12.7", "ENV PYTHON_VERSION=3.13.1" } },
                { "get # #",
                  { "/bin/sh -c get 3.12.7 24887b92e2afd4a2ac602419ad4b596372f67ac9b077190f45" } },
                { "# debian.sh 'bookworm' '@#'",
                  { "# debian.sh 'bookworm' '@1731283200'",
                    "# debian.sh 'bookworm' '@1734912000'" } },
                /* What stays different. */
                { "echo one", { "RUN /bin/sh -c echo one # buildkit" } },
                { "echo two", { "RUN /bin/sh -c echo two # buildkit" } },
                /* Odd ones. */
                { "", { "", " ", " # buildkit", "#(nop)" } },
                { "COPY", { "COPY", "COPY # buildkit" } },
                { "RUNNER", { "RUNNER" } },
                { "|", { "|" } },
                { "|#", { "|1" } },
        };

        (void)state;
        for (size_t i = 0; i < ELEMENTSOF(cases); i++)
                for (size_t j = 0; j < ELEMENTSOF(cases[i].texts) && cases[i].texts[j]; j++) {
                        cleanup_free char *normal = instruction_normal(cases[i].texts[j]);

                        assert_non_null(normal);
                        assert_string_equal(normal, cases[i].normal);
                }
}

static void test_classic(void **state) {
        static const struct {
                const char *created_by, *comment;
                bool classic;
        } cases[] = {
                { "/bin/sh -c #(nop)  CMD [\"x\"]", "", true },
                { "/bin/sh -c make", "", true },
                { "|1 V=1 /bin/sh -c make", "", true },
                { "/bin/bash -o pipefail -c make", "", true },
                { "/bin/sh -c #(nop)  CMD [\"x\"]", "FROM docker.io/library/python:3", false },
                { "CMD [\"x\"]", "buildkit.dockerfile.v0", false },
                { "RUN /bin/sh -c make # buildkit", "", false },
                { "", "Imported from -", false },
                { "", "", false },
                { "RUN make", "", false },                      /* kaniko */
                { "COPY . /app", "", false },                   /* kaniko */
                { "jib-maven-plugin:3.4.0", "classes", false }, /* Jib */
                { "bazel build ...", "", false },
        };

        (void)state;
        for (size_t i = 0; i < ELEMENTSOF(cases); i++)
                if (instruction_is_classic(cases[i].created_by, cases[i].comment) !=
                    cases[i].classic)
                        fail_msg("%s (%s)", cases[i].created_by, cases[i].comment);
}

/* What only BuildKit, or docker commit with a comment, writes. */
static void test_may_be_classic(void **state) {
        (void)state;
        assert_true(instruction_may_be_classic("npm ci", ""));
        assert_true(instruction_may_be_classic("bash -o pipefail -c make", ""));
        assert_true(instruction_may_be_classic("", ""));
        assert_false(instruction_may_be_classic("/bin/sh", "hotfix"));
        assert_false(instruction_may_be_classic("RUN npm ci # buildkit", ""));
        assert_false(instruction_may_be_classic("ENV A=1", "buildkit.dockerfile.v0"));
}

/* By the text alone: "what" is what COPY copied. */
static void test_classic_step(void **state) {
        static const char copy[] = "/bin/sh -c #(nop) COPY dir:0a in /app ";
        static const struct {
                const char *created_by, *comment;
                uint64_t step;
        } cases[] = {
                { "npm ci", "", CLASSIC_STEP_YES },
                { "|1 V=1 /bin/sh -c make", "", CLASSIC_STEP_YES },
                { "/bin/sh -c #(nop) WORKDIR /app", "", CLASSIC_STEP_YES },
                { "/bin/sh -c #(nop)  CMD [\"x\"]", "", CLASSIC_STEP_COMMAND },
                { "/bin/sh -c #(nop)  ENTRYPOINT [\"x\"]", "", CLASSIC_STEP_COMMAND },
                { "/bin/sh -c #(nop)  ENV CMD=x", "", CLASSIC_STEP_YES },
                { "/bin/sh -c #(nop) COPY ", "", CLASSIC_STEP_YES },
                { "", "", CLASSIC_STEP_NO },
                { "", "Imported from -", CLASSIC_STEP_NO },
                /* docker commit and buildah; the builder does not read the comment */
                { "/bin/sh -c make", "hotfix", CLASSIC_STEP_YES },
                { "/bin/sh -c #(nop) WORKDIR /app", "FROM scratch", CLASSIC_STEP_YES },
                { "jib-maven-plugin:3.4", "java -version: 21", CLASSIC_STEP_NO },
                { "RUN /bin/sh -c make # buildkit", "buildkit.dockerfile.v0", CLASSIC_STEP_NO },
                { "WORKDIR /app", "", CLASSIC_STEP_NO }, /* kaniko */
                { "RUN make", "", CLASSIC_STEP_NO },
        };
        static const struct {
                const char *other;
                bool same, directory;
        } copies[] = {
                { "/bin/sh -c #(nop) ADD dir:0a in /other ", true, true },
                { "/bin/sh -c #(nop) COPY --chown=1:1 dir:0a in /app ", true, true },
                { "/bin/sh -c #(nop) COPY dir:0b in /app ", false, true },
                { "/bin/sh -c #(nop) COPY file:0a in /app ", false, false },
                { "/bin/sh -c #(nop) COPY multi:0a in /app ", false, false },
        };

        (void)state;
        for (size_t i = 0; i < ELEMENTSOF(cases); i++)
                if (instruction_classic_step(cases[i].created_by, cases[i].comment) !=
                    cases[i].step)
                        fail_msg("%s (%s)", cases[i].created_by, cases[i].comment);
        for (size_t i = 0; i < ELEMENTSOF(copies); i++) {
                uint64_t step = instruction_classic_step(copies[i].other, "");

                assert_true(step >= CLASSIC_STEP_CONTENTS);
                assert_int_equal((step & CONTENTS_OF_DIRECTORY) != 0, copies[i].directory);
                assert_int_equal(step == instruction_classic_step(copy, ""), copies[i].same);
        }
}

static void test_steps(void **state) {
        static const struct {
                const char *name, *normal; /* NULL: no instruction */
        } cases[] = {
                { "[builder 2/3] RUN cp /x   /y", "cp /x /y" },
                { "[2/3] RUN [\"npm\", \"ci\"]", "npm ci" },
                { "[2/3] RUN [\"/bin/bash\",\"-c\",\"npm  ci\"]", "npm ci" },
                { "[2/3] RUN bash -c npm ci", "bash -c npm ci" },
                { "[2/3] RUN [ -f x ]", "[ -f x ]" },
                { "[2/3] RUN [1]", "[#]" },
                { "[2/3] RUN []", "" },
                { "[12/13] COPY --from=builder /app/bundle /app/bundle/", "COPY /app/bundle" },
                { "[linux/amd64 stage-1 3/3] WORKDIR /app", "WORKDIR /app" },
                { "[internal] load build context", NULL },
                { "[auth] library/python:pull token for registry-1.docker.io", NULL },
                { "exporting to image", NULL },
                { "[] x", NULL },
                { "[/] x", NULL },
                { "[/1] x", NULL },
                { "] x", NULL },
                { "", NULL },
        };
        static const char *const bases[][2] = {
                { "[1/4] FROM docker.io/library/python:3.12@sha256:0123", "python" },
                { "[a 1/2] FROM docker.io/team/app", "team/app" },
                { "[a 1/2] FROM index.docker.io/library/python:3", "python" },
                { "[a 1/2] FROM library/python:3", "python" },
                { "[a 1/2] FROM localhost:5000/team/app:1", "localhost:5000/team/app" },
        };
        uint64_t hash;

        (void)state;
        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                assert_int_equal(instruction_hash_of_step(cases[i].name, &hash),
                                 cases[i].normal != NULL);
                if (cases[i].normal)
                        assert_true(hash == instruction_hash(cases[i].normal));
        }
        for (size_t i = 0; i < ELEMENTSOF(bases); i++) {
                assert_int_equal(instruction_hash_of_step(bases[i][0], &hash), 1);
                assert_true(hash == instruction_hash_of_from(text_hash(bases[i][1])));
        }
}

static void test_layers(void **state) {
        static const struct {
                const char *created_by;
                bool makes_layer;
        } cases[] = {
                { "COPY a /a # buildkit", true },
                { "/bin/sh -c #(nop) ADD file:1 in / ", true },
                { "WORKDIR /app", true },
                { "RUN npm ci # buildkit", true },
                { "|1 V=1 bash -c npm ci", true },
                { "env A=1 make", true },
                { "/bin/sh -c #(nop)  ENV A=1", false },
                { "ARG V", false },
                { "LABEL a=1", false },
                { "/bin/sh -c #(nop)  SHELL [bash -o pipefail -c]", false },
                { "SHELL [/bin/bash -o pipefail -c]", false },
                { "CMD [\"sh\" \"-c\" \"make\"]", false },
                { "USER 1000", false },
                { "/bin/sh -c #(nop)  ONBUILD COPY . /app", false },
        };

        (void)state;
        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                cleanup_free char *normal = instruction_normal(cases[i].created_by);

                assert_non_null(normal);
                if (instruction_makes_layer(instruction_hash(normal)) != cases[i].makes_layer)
                        fail_msg("%s", cases[i].created_by);
        }
}

int main(void) {
        static const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_normal),         cmocka_unit_test(test_classic),
                cmocka_unit_test(test_may_be_classic), cmocka_unit_test(test_steps),
                cmocka_unit_test(test_layers),         cmocka_unit_test(test_classic_step),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
