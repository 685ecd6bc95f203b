/* SPDX-License-Identifier: MIT */
#pragma once

/* Checks of texts, each a KeyCheck, and of the names of applications. */

#include "key-internal.h"

int check_socket(char **text, Diag *reterr_diag) must_check;
int check_host(char **text, Diag *reterr_diag) must_check;
int check_project(char **text, Diag *reterr_diag) must_check;
int check_tag(char **text, Diag *reterr_diag) must_check;
int check_operator(char **text, Diag *reterr_diag) must_check;
int check_path(char **text, Diag *reterr_diag) must_check;
int check_directory(char **text, Diag *reterr_diag) must_check;
int check_cache(char **text, Diag *reterr_diag) must_check;
int check_dockerfile(char **text, Diag *reterr_diag) must_check;
int check_textfile(char **text, Diag *reterr_diag) must_check;
int check_command(char **text, Diag *reterr_diag) must_check;

/* Checks the NAME of an [app NAME]: 0, or -EINVAL with the reason. */
int app_name_check(const char *name, Diag *reterr_diag) must_check;
/* The valid name that a text was likely meant for, or NULL. Returns `buffer`. */
const char *app_name_near(const char *text, char buffer[static APP_NAME_MAX]);

/* The rest of a section's name that was meant for an application's, as in "apps", "app:web" or
 * "application web"; NULL if it was not. Borrowed. */
const char *app_section_meant(const char *name);
