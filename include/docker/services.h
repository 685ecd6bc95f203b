/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * The services of a Docker Swarm, as far as they need images. A service names its image; a task is
 * made from that name whenever the service is scaled up, and an image whose name is gone cannot be
 * started (no registry may have it). A service that is scaled to 0 has no container that would show
 * its use. Facts are of moby's source (daemon/cluster) and of engines 20.10 and 28.5.
 */

#include "docker/api.h"

/* One image that one service names. */
typedef struct ServiceImage {
        char *service; /* the service's name */
        char *image;   /* as the service has it: "NAME[:TAG][@DIGEST]", or an image id */
        bool next;     /* new tasks are made from it; false: its previous spec or a task names it */
        char id[IMAGE_ID_MAX]; /* by service_images_resolve(): the image here; "": there is none */
} ServiceImage;

typedef struct ServiceImages {
        ServiceImage *v;
        size_t n, size;
        Index by_id;  /* by service_images_resolve() */
        char *unread; /* why the services are not known although there may be some; or NULL */
} ServiceImages;

/*
 * Reads the image references of all services (spec and previous spec) and of their tasks: GET
 * /services and GET /tasks. Only managers know them; any other node is not asked, since engines log
 * an error for each such request, and its list is empty. Which node this is, the answer to /_ping
 * tells from Engine 23 on, as of the last docker_negotiate(); before that, GET /info.
 *
 * A manager that cannot tell (locked, without a leader, a proxy that does not let the request
 * through, an answer that is malformed) is no error: `ret->unread` is set. Errors are those of the
 * connection, -ECANCELED and -ENOMEM.
 */
int docker_services(Docker *docker, ServiceImages *ret, Diag *reterr_diag) must_check;

/* Finds the image that each reference names (docker/references.h), for service_images_find(). To be called
 * again whenever the images changed. 0 or -ENOMEM. */
int service_images_resolve(ServiceImages *services, const ImageSet *images) must_check;

/* A reference to this image, one that new tasks are made from if there is such; or NULL. */
const ServiceImage *service_images_find(const ServiceImages *services, const char *id);

int service_images_add(ServiceImages *services, const char *service, const char *image,
                       bool next) must_check;
void service_images_done(ServiceImages *services);
static inline void service_images_donep(ServiceImages *services) {
        service_images_done(services);
}
