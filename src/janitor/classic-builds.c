/* SPDX-License-Identifier: MIT */

#include "janitor/classic-builds.h"

#include <stdio.h>
#include <string.h>

#include "base/span.h"
#include "janitor/stages.h"

/* Young leaves past this many count as steps of a build. */
#define LEAVES_ASKED_MAX 64

/*
 * A step of the classic builder is a container made from an image's id, without a log and a name, and with null
 * in place of a list of DNS servers: the docker command always sends a list. That of RUN has the health check
 * NONE. For ENV, WORKDIR and the like the builder makes one, too, which it never starts: its command begins with
 * "#(nop)". (Seen on engines 20.10, 26.1 and 28.5; moby builder/dockerfile: dispatchRun(), commit(),
 * hostConfigFromOptions().) A container that a person or compose made keeps the name it was made from in its
 * configuration, even when the name has moved on and the list shows an id. Only a program that calls the API
 * with just these settings makes a container that looks like a step.
 */
static bool is_classic_step(const Container *container, const ContainerDetail *detail) {
        return strncmp(detail->config_image, "sha256:", strlen("sha256:")) == 0 &&
               strcmp(detail->log_driver, "none") == 0 && !detail->dns &&
               (detail->no_healthcheck || detail->nop) && container_name_is_generated(container);
}

static bool is_created(const ContainerDetail *detail) {
        return strcmp(detail->status, "created") == 0;
}

static bool is_exited(const ContainerDetail *detail) {
        return strcmp(detail->status, "exited") == 0;
}

/*
 * Whether a step was committed: an image was made from the container's image since the container ended, or,
 * where it runs nothing, was made. That image may be gone now, so the answer is remembered.
 */
static bool is_committed(const Inventory *inventory, const Container *container,
                         const ContainerDetail *detail) {
        const BuildWatch *watch = inventory->watch;
        const bool nop = is_created(detail) && detail->nop;

        if (!nop && !(is_exited(detail) && detail->exit_code == 0))
                return false;
        return (watch && id_set_contains(&watch->committed, container->id)) ||
               image_set_has_child_since(&inventory->images, container->image_id,
                                         nop ? container->created_sec : detail->finished_sec);
}

/*
 * No build goes on with the step: it failed, or was committed and kept (docker build --rm=false), or was
 * neither started nor committed for long.
 */
static bool is_left_over(const Inventory *inventory, const Container *container,
                         const ContainerDetail *detail, bool committed) {
        const int64_t now_sec = inventory->observed_sec;

        if (committed)
                return true;
        if (is_created(detail))
                return now_sec - container->created_sec > CLASSIC_COMMIT_SEC;
        return is_exited(detail) &&
               (detail->exit_code != 0 || now_sec - detail->finished_sec > CLASSIC_COMMIT_SEC);
}

/* `failed_ids` are images of steps that are left over, `committed` the containers of those that ended well. */
static int observe_classic_container(Docker *docker, Container *container, Inventory *inventory,
                                     Strv *failed_ids, IdSet *committed, Diag *reterr_diag) {
        cleanup(container_detail_done) ContainerDetail detail = { 0 };
        Diag diag = DIAG_NULL;
        bool is_done;
        char text[160];
        int r;

        if (!container_shows_id(container))
                return 0;
        r = docker_container(docker, container->id, &detail, &diag);
        if (r == -ENOENT) /* gone since the list, as a step that was committed is: look again */
                return strv_add(&inventory->classic_builds, "a container of a build just ended");
        if (r < 0)
                return inventory_add_failure(&inventory->containers.unreadable, container->id, r,
                                             &diag, reterr_diag);
        if (!is_classic_step(container, &detail)) {
                free(container->image);
                container->image = TAKE_PTR(detail.config_image);
                return 0;
        }
        is_done = is_committed(inventory, container, &detail);
        if (is_done && id_set_add(committed, container->id) < 0)
                return -ENOMEM;
        if (is_left_over(inventory, container, &detail, is_done))
                return strv_add(failed_ids, container->image_id);
        container->builds = true;
        snprintf(text, sizeof(text), "container %.12s (%.64s) runs a step of a classic build",
                 container->id, container->name);
        return strv_add(&inventory->classic_builds, text);
}

/* Whether a young leaf may be the newest step of a build: not what bore a name, nor what docker commit made. A
 * poll has no facts, and asks. */
static int is_newest_step(Docker *docker, const Inventory *inventory, const Image *leaf, bool *ret,
                          Diag *reterr_diag) {
        const ImageFacts *facts = fact_set_find(&inventory->facts, leaf->id);

        *ret = false;
        if (facts && (facts->bore_name || facts->commit == COMMIT_YES))
                return 0;
        return leaf_is_step(docker, leaf, facts, ret, reterr_diag);
}

int classic_builds_observe(Docker *docker, const Config *config, const NamedImages *known,
                           Inventory *inventory, Diag *reterr_diag) {
        cleanup(named_builds_done) NamedBuilds builds = { 0 };
        /* Not when the look began: a step may have been committed since. */
        int64_t now_sec = now_realtime_sec();
        cleanup(strv_done) Strv failed_ids = STRV_NULL;
        cleanup(id_set_done) IdSet committed = { 0 };
        size_t n_asked = 0;
        char text[160];
        int r;

        for (size_t i = 0; i < inventory->containers.n; i++) {
                r = observe_classic_container(docker, &inventory->containers.v[i], inventory,
                                              &failed_ids, &committed, reterr_diag);
                if (r < 0)
                        return r;
        }
        if (inventory->watch)
                build_watch_remember_committed(inventory->watch, &committed);
        strv_sort(&failed_ids);
        r = stages_ask_times(docker, config, inventory, reterr_diag);
        if (r >= 0)
                r = named_builds_find(inventory, config, &builds);
        if (r < 0)
                return r;
        inventory->ours_ended_nsec = MAX(inventory->ours_ended_nsec, builds.newest_of_ours_nsec);
        builds.newest_of_ours_nsec = inventory->ours_ended_nsec;
        for (size_t i = 0; i < inventory->images.n; i++) {
                const Image *image = &inventory->images.v[i];
                int64_t age_sec = now_sec - image->created_sec;
                bool is_step = true;

                if (!image_is_classic_leaf(inventory, image) || age_sec < 0 ||
                    age_sec > CLASSIC_QUIET_SEC || strv_sorted_contains(&failed_ids, image->id) ||
                    stage_has_ended(&builds, image) || named_images_contain_id(known, image->id))
                        continue;
                if (n_asked++ < LEAVES_ASKED_MAX)
                        r = is_newest_step(docker, inventory, image, &is_step, reterr_diag);
                if (r < 0)
                        return r;
                if (!is_step)
                        continue;
                snprintf(text, sizeof(text), "image %.19s of a classic build is %llds old",
                         image->id, (long long)age_sec);
                r = strv_add(&inventory->classic_builds, text);
                if (r < 0)
                        return r;
        }
        return 0;
}
