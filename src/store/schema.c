/* SPDX-License-Identifier: MIT */

/*
 * What is in a file, and how one that an older daemon made comes to have it: a step for each
 * version, all of them in one transaction with the version itself.
 *
 * The trap is that files are out there that were made by each step that was ever released: such a
 * step stays as it is, and a change is a step more.
 */

#include <stdio.h>

#include "store/sql.h"

/* Of the file's header: whose it is, "wpca", and which step of the schema it has reached. */
#define APPLICATION_ID 0x77706361

/* Step i leads from version i to i + 1. Runs are listed often, and whole ones are large: details
 * lie apart. `n` grows with every write. */
static const char *const schema[] = {
        "CREATE TABLE runs (n INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, kind TEXT NOT NULL,"
        " target TEXT NOT NULL, outcome TEXT NOT NULL, who TEXT NOT NULL,"
        " started INTEGER NOT NULL, finished INTEGER NOT NULL, removed INTEGER NOT NULL,"
        " remaining INTEGER NOT NULL, engine_bytes INTEGER NOT NULL, freed_bytes INTEGER NOT NULL,"
        " took_names INTEGER NOT NULL) STRICT;"
        "CREATE INDEX runs_of_kind ON runs (kind, id);"
        "CREATE TABLE details (n INTEGER PRIMARY KEY REFERENCES runs ON DELETE CASCADE,"
        " json TEXT NOT NULL) STRICT;"
        "CREATE TABLE samples (at INTEGER PRIMARY KEY, age INTEGER NOT NULL,"
        " builder_bytes INTEGER NOT NULL, image_bytes INTEGER NOT NULL,"
        " disk_total_bytes INTEGER NOT NULL, disk_free_bytes INTEGER NOT NULL) STRICT;"
        "CREATE TABLE seen (id TEXT PRIMARY KEY, first_seen INTEGER NOT NULL,"
        " named INTEGER NOT NULL, used INTEGER NOT NULL, running_since INTEGER NOT NULL,"
        " tag_mark INTEGER NOT NULL, names_hash INTEGER NOT NULL, repository TEXT)"
        " STRICT, WITHOUT ROWID;"
        "CREATE TABLE suspects (n INTEGER PRIMARY KEY, name TEXT NOT NULL, id TEXT NOT NULL)"
        " STRICT;"
        "CREATE TABLE host (n INTEGER PRIMARY KEY CHECK (n = 1), ever_matched INTEGER NOT NULL,"
        " boot_id TEXT NOT NULL, boot_usec INTEGER NOT NULL, age INTEGER NOT NULL,"
        " age_rest_usec INTEGER NOT NULL, wall_ahead INTEGER NOT NULL,"
        " steady_since INTEGER NOT NULL) STRICT;"
        "INSERT INTO host VALUES (1, 0, '', 0, 0, 0, 0, 0);",

        /* dev and ino: the bits of an unsigned number */
        "CREATE TABLE trash (n INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE,"
        " place TEXT NOT NULL, dev INTEGER NOT NULL, ino INTEGER NOT NULL, app TEXT NOT NULL,"
        " path TEXT NOT NULL) STRICT;",

        "ALTER TABLE seen ADD COLUMN own_mark INTEGER NOT NULL DEFAULT 0;"
        "ALTER TABLE seen ADD COLUMN rollback_since INTEGER NOT NULL DEFAULT -1;"
        "ALTER TABLE seen ADD COLUMN own_hash INTEGER NOT NULL DEFAULT 0;"
        "ALTER TABLE seen ADD COLUMN ahead INTEGER NOT NULL DEFAULT 0;"
        "ALTER TABLE seen ADD COLUMN tag_rest INTEGER NOT NULL DEFAULT 0;"
        "ALTER TABLE seen ADD COLUMN not_ours INTEGER NOT NULL DEFAULT 0;",

        /* layers and what follows: hashes as hex digits */
        "CREATE TABLE image_facts (n INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE,"
        " kind INTEGER NOT NULL, inline_cache INTEGER NOT NULL, ours INTEGER NOT NULL,"
        " n_history INTEGER NOT NULL, n_base INTEGER NOT NULL, names_hash INTEGER NOT NULL,"
        " made_amid_ours INTEGER NOT NULL, tagged_here INTEGER NOT NULL,"
        " project_hash INTEGER NOT NULL, layers TEXT NOT NULL, steps TEXT NOT NULL,"
        " bases TEXT NOT NULL, stages TEXT NOT NULL, names TEXT NOT NULL,"
        " amid_hash INTEGER NOT NULL, step INTEGER NOT NULL, bore_name INTEGER NOT NULL,"
        " created_nsec INTEGER NOT NULL, needs TEXT NOT NULL, classic_steps TEXT NOT NULL,"
        " of_others INTEGER NOT NULL, committed INTEGER NOT NULL) STRICT;",
};

const int64_t schema_version = (int64_t)ELEMENTSOF(schema);

int schema_check(Store *store, int64_t *ret_version, Diag *reterr_diag) {
        int64_t application = 0, version = 0, n_tables = 0;
        int r;

        r = sql_read_int(store, "PRAGMA application_id", &application, reterr_diag);
        if (r >= 0)
                r = sql_read_int(store, "PRAGMA user_version", &version, reterr_diag);
        if (r < 0)
                return r;
        if (application == APPLICATION_ID && version > schema_version)
                return diag_set(reterr_diag, -EPROTONOSUPPORT,
                                "%s was written by a newer wpcached: it has version %lld of the "
                                "schema, and this one knows %lld; it is left as it is",
                                store->path, (long long)version, (long long)schema_version);
        if (application != APPLICATION_ID) {
                r = sql_read_int(store, "SELECT count(*) FROM sqlite_schema", &n_tables,
                                 reterr_diag);
                if (r < 0)
                        return r;
                if (application != 0 || version != 0 || n_tables != 0)
                        return sql_damaged(store, "it is a database, but not of wpcache",
                                           reterr_diag);
        }
        *ret_version = version;
        return 0;
}

int schema_upgrade(Store *store, int64_t version, Diag *reterr_diag) {
        char header[128];
        int r;

        if (version == schema_version)
                return 0;
        store->rewrite |= version == 0;
        r = sql_script(store, "BEGIN IMMEDIATE", reterr_diag);
        for (; version < schema_version && r >= 0; version++)
                r = sql_script(store, schema[version], reterr_diag);
        snprintf(header, sizeof(header), "PRAGMA application_id = %d; PRAGMA user_version = %d",
                 APPLICATION_ID, (int)schema_version);
        if (r >= 0)
                r = sql_script(store, header, reterr_diag);
        if (r >= 0)
                r = sql_script(store, "COMMIT", reterr_diag);
        return r;
}
