/* SPDX-License-Identifier: MIT */
#pragma once

/* The checks of texts that the table of keys names, a KeyCheck each; private to conf/. */

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

/* Of the name of an [app NAME]; -EINVAL with the reason. */
int app_name_check(const char *name, Diag *reterr_diag) must_check;
/* Such a name that a text was likely meant for, or NULL. */
const char *app_name_near(const char *text, char buffer[static APP_NAME_MAX]);

/* The rest of a section's name that was meant for an application's, as in "apps", "app:web" or
 * "application web"; NULL if it was not. Borrowed. */
const char *app_section_meant(const char *name);
