/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Names of images: "[HOST[:PORT]/]PATH:TAG", as the engine lists them (familiar form: "busybox"
 * and not "docker.io/library/busybox"). Pure functions.
 */

#include "base/macro.h"
#include "base/strv.h"

/* Length of the repository part: "localhost:5000/a/b:tag" -> strlen("localhost:5000/a/b").
 * The tag, if any, starts one past it. */
size_t name_repository_length(const char *name);
/* The text_hash() of that part. */
uint64_t name_repository_hash(const char *name);

/* The tag, or NULL where the name has none. Borrowed. */
const char *name_tag(const char *name);

/*
 * The same hash for names of a repository whose tags differ in numbers alone, as those of two releases do:
 * "web:41" and "web:42", "web:v1.2" and "web:latest", "web:1-base" and "web:2-base"; not "web:1-base" and
 * "web:1-api". 0 or -ENOMEM.
 */
int name_release_hash(const char *name, uint64_t *ret) must_check;

/*
 * Whether a glob (fnmatch(3)) takes a name. A glob without '/' is matched against the last
 * component of the repository, so "watchparty-*" takes "localhost:5000/team/watchparty-web:1";
 * one with '/' against the whole repository. One with a ':' after its last '/' must match the tag
 * as well. '*' does not cross a '/'.
 */
bool name_matches(const char *glob, const char *name);
bool name_matches_any(const Strv *globs, const char *name);
/* Whether one of the globs matches some name of its repository: what a glob says of tags is left out. */
bool name_repository_matches_any(const Strv *globs, const char *name);
