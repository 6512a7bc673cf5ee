/* CIFAR-100 in its binary version: as CIFAR-10, with two label bytes, the coarse class (of 20) and
 * the fine one (of 100). */
#include "cifar.h"

static const ds_option options[] = {
    {.name = "path",
     .type = DS_OPTION_VALUE,
     .offset = offsetof(cifar_options, path),
     .choices = "a file, a list of files, or the archive's folder",
     .flags = DS_OPTION_REQUIRED | DS_OPTION_NEUTRAL,
     .help = "train.bin, test.bin; of a folder the one of the split"},
    {.name = "coarse",
     .type = DS_OPTION_BOOL,
     .offset = offsetof(cifar_options, coarse),
     .fallback = "false",
     .help = "the 20 coarse classes instead of the 100 fine ones"},
    {.name = NULL},
};

static ds_status cifar100_read(const void *opts, const ds_read_request *request, ds_dataset *out)
{
    static const char *const train[] = {"train.bin", NULL}, *const test[] = {"test.bin", NULL};
    static const cifar_kind fine = {"cifar100", 2, 1, 100, train, test, "fine_label_names.txt"};
    static const cifar_kind coarse = {"cifar100", 2, 0, 20, train, test, "coarse_label_names.txt"};
    const cifar_options *o = opts;
    return ds_cifar_read(o->coarse ? &coarse : &fine, o, request, out);
}

extern const ds_format_ops ds_format_cifar100;
const ds_format_ops ds_format_cifar100 = {
    .name = "cifar100",
    .help = "CIFAR-100's binary version: 3 x 32 x 32 images in 100 classes (or 20 coarse ones)",
    .options = options,
    .options_size = sizeof(cifar_options),
    .read = cifar100_read,
    .labels = true,
};
