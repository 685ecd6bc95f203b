/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * The texts of an image's history: what each builder writes for an instruction of a Dockerfile. Pure.
 *
 * Seen on engines 20.10, 26.1 and 28.5, for the same instructions:
 *
 *   BuildKit                                    classic builder
 *   COPY src /app/src # buildkit                /bin/sh -c #(nop) COPY dir:HASH in /app/src
 *   RUN /bin/sh -c make # buildkit              /bin/sh -c make
 *   RUN |1 V=1 /bin/sh -c make # buildkit       |1 V=1 /bin/sh -c make
 *   ENV A=1                                     /bin/sh -c #(nop)  ENV A=1
 *   EXPOSE map[8000/tcp:{}], EXPOSE [8000/tcp]  /bin/sh -c #(nop)  EXPOSE 8000
 *
 * BuildKit has no entry for ONBUILD, and an import has no text at all. The other tools that write
 * "/bin/sh -c #(nop)", such as buildah, count as the classic builder: it would take their steps for its
 * own.
 */

#include "base/macro.h"

/*
 * Whether the classic builder wrote this entry of a history: it has the form of that builder. A step of
 * RUN ["npm", "ci"], or of RUN after SHELL, has not.
 */
bool instruction_is_classic(const char *created_by, const char *comment);
/* Whether the classic builder, or docker commit, may have written this entry: it has neither the comment nor
 * the ending that BuildKit leaves, and does not begin with the name of an instruction, as kaniko's do. */
bool instruction_may_be_classic(const char *created_by, const char *comment);
/* What the entry is to the classic builder: CLASSIC_STEP_NO and so on, see store/facts.h. moby's image/cache
 * compares the command of a step with the text of the entry, and nothing else. */
uint64_t instruction_classic_step(const char *created_by, const char *comment);

/* The form of an ONBUILD instruction, for which BuildKit writes no entry. */
#define INSTRUCTION_ONBUILD "ONBUILD"

/*
 * One form for the texts of both builders, malloc'ed; NULL on out of memory. Left out is what one
 * builder does not tell (the sources of COPY and ADD, how EXPOSE and HEALTHCHECK were written, what
 * ONBUILD says) and what changes from one release to the next: hashes of contents, values of ARG, ENV and
 * LABEL, and each word from its first digit on (text_loosen_numbers()). Left out, too, is what a text does
 * not tell apart: all names but the first of ARG, ENV and LABEL, since a value with blanks stands there
 * without its quotes; and the shell before the command of RUN, which BuildKit's records leave out.
 */
char *instruction_normal(const char *created_by);
/* The hash of such a form. It tells whether the instruction makes a layer, so that BuildKit's records name
 * it: RUN, COPY, ADD and WORKDIR do. */
uint64_t instruction_hash(const char *normal);
bool instruction_makes_layer(uint64_t hash);

/*
 * The same for an instruction that BuildKit's record of a build names as a step:
 * "[builder 2/3] RUN make"; for FROM instruction_hash_of_from(). Returns 1; 0 for a step that is no
 * instruction of a Dockerfile; or -ENOMEM.
 */
int instruction_hash_of_step(const char *name, uint64_t *ret) must_check;
/* `repository` is the text_hash() of the name of a base image. */
uint64_t instruction_hash_of_from(uint64_t repository);
