/* SPDX-License-Identifier: MIT */
#pragma once

/* What to tell a person whose engine does not do what it should. Pure functions. */

#include "base/macro.h"

/* Whether a failed call (an error of docker/api.h) was answered: with an error, or with something that
 * is no answer of a Docker engine. Such an engine is not away. */
bool engine_answered(int error);

/* The command that shows why the engine of this socket failed so; "" where none is known to fit.
 * The service of a rootless engine, below /run/user, is its user's own. Static. */
const char *engine_remedy(const char *socket, int error);

/* What a client takes for the remedy where an error reply has none. */
#define ENGINE_REMEDY_USUAL "systemctl status docker"
