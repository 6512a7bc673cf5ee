/* What CIFAR-10 and CIFAR-100 share. */
#ifndef DS_CIFAR_H
#define DS_CIFAR_H

#include "read.h"

enum { CIFAR_PIXELS = 3072 };

typedef struct cifar_kind {
    const char *name;             /* "cifar10" */
    size_t label_bytes, label_at; /* before the pixels; which of them counts */
    size_t classes;
    const char *const *train, *const *test; /* files of the unpacked archive's folder, NULL ends */
    const char *names;                      /* its file of class names */
} cifar_kind;

typedef struct cifar_options {
    const ds_value *path;
    bool coarse;
} cifar_options;

/* Local. Errors: DATA. */
ds_status ds_cifar_read(const cifar_kind *kind, const cifar_options *options,
                        const ds_read_request *request, ds_dataset *out) DS_NODISCARD;

#endif
