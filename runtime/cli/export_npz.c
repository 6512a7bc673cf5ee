/* npz, as numpy.savez makes it: a ZIP archive (PKWARE APPNOTE 6.3.3; members stored, sizes of 32
 * bits) of .npy files (numpy format 1.0). The same checkpoint gives the same bytes: no times. The
 * crc of a member is known after its data, so its place in the header is filled in afterwards. */
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "exports.h"

enum { NPZ_LOCAL = 30, NPZ_CENTRAL = 46, NPZ_END = 22, NPZ_NPY = 10 + 374, NPZ_CRC_AT = 14 };

typedef struct npz_member {
    uint32_t at, crc, bytes; /* of the local header; of the .npy file */
} npz_member;

/* Little-endian fields: `widths` has one digit a field. */
static size_t npz_pack(unsigned char *out, const char *widths, const uint32_t *field)
{
    size_t n = 0;
    for (; *widths != '\0'; widths++, field++)
        for (int shift = 0; shift < (*widths - '0') * 8; shift += 8)
            out[n++] = (unsigned char)(*field >> shift & 0xff);
    return n;
}

/* The .npy header of a tensor into `out`, a multiple of 64 bytes. */
static size_t npz_npy_header(const ds_tensor_info *info, char out[NPZ_NPY])
{
    static const char *const descr[] = {
        [DS_F32] = "<f4", [DS_F64] = "<f8", [DS_I64] = "<i8", [DS_U8] = "|u1"};
    size_t n = 10;
    n += (size_t)snprintf(out + n, NPZ_NPY - n,
                          "{'descr': '%s', 'fortran_order': False, 'shape': (", descr[info->type]);
    for (size_t d = 0; d < info->shape.n; d++)
        n += (size_t)snprintf(out + n, NPZ_NPY - n, "%s%zu%s", d == 0 ? "" : " ",
                              info->shape.dim[d], d + 1 < info->shape.n || d == 0 ? "," : "");
    n += (size_t)snprintf(out + n, NPZ_NPY - n, "), }");
    size_t padded = (n + 1 + 63) / 64 * 64;
    memset(out + n, ' ', padded - n - 1);
    out[padded - 1] = '\n';
    memcpy(out, "\x93NUMPY\x01\x00", 8);
    out[8] = (char)((padded - 10) & 0xff);
    out[9] = (char)((padded - 10) >> 8);
    return padded;
}

static void npz_local_header(const export_item *item, const npz_member *m, FILE *file)
{
    unsigned char head[NPZ_LOCAL];
    uint32_t name = (uint32_t)strlen(item->name) + 4;
    const uint32_t field[] = {0x04034b50, 20, 0, 0, 0, 0x21, m->crc, m->bytes, m->bytes, name, 0};
    fwrite(head, 1, npz_pack(head, "42222244422", field), file);
    fprintf(file, "%s.npy", item->name);
}

static ds_status npz_member_write(const export_set *set, size_t i, npz_member *m, FILE *file)
{
    char header[NPZ_NPY];
    unsigned char crc[4];
    size_t n = npz_npy_header(&set->item[i].info, header);
    m->bytes = (uint32_t)(n + set->item[i].bytes);
    m->crc = (uint32_t)crc32(0, (const unsigned char *)header, (unsigned)n);
    npz_local_header(&set->item[i], m, file);
    fwrite(header, 1, n, file);
    DS_TRY(export_copy(set, i, file, &m->crc));
    fseeko(file, (off_t)m->at + NPZ_CRC_AT, SEEK_SET);
    fwrite(crc, 1, npz_pack(crc, "4", &m->crc), file);
    fseeko(file, 0, SEEK_END);
    return DS_OK;
}

static void npz_directory(const export_set *set, const npz_member *m, uint32_t at, FILE *file)
{
    unsigned char head[NPZ_CENTRAL];
    uint32_t bytes = 0, n = (uint32_t)set->n;
    for (size_t i = 0; i < set->n; i++) {
        uint32_t name = (uint32_t)strlen(set->item[i].name) + 4;
        const uint32_t mode = (uint32_t)0100644 << 16;
        const uint32_t field[] = {0x02014b50, 0x0314, 20, 0, 0, 0, 0x21, m[i].crc, m[i].bytes,
                                  m[i].bytes, name,   0,  0, 0, 0, mode, m[i].at};
        fwrite(head, 1, npz_pack(head, "42222224442222244", field), file);
        fprintf(file, "%s.npy", set->item[i].name);
        bytes += NPZ_CENTRAL + name;
    }
    const uint32_t field[] = {0x06054b50, 0, 0, n, n, bytes, at, 0};
    fwrite(head, 1, npz_pack(head, "42222442", field), file);
}

/* Each count of an archive must fit its field. */
static ds_status npz_fits(const export_set *set)
{
    uint64_t bytes = NPZ_END;
    for (size_t i = 0; i < set->n; i++)
        bytes += set->item[i].bytes + NPZ_NPY + NPZ_LOCAL + NPZ_CENTRAL +
                 2 * (strlen(set->item[i].name) + 4);
    DS_CHECK(bytes < UINT32_MAX && set->n < UINT16_MAX, DS_ERR_USAGE,
             "export: %zu tensors, %llu bytes are more than an npz can hold; write .safetensors",
             set->n, (unsigned long long)bytes);
    return DS_OK;
}

static ds_status npz_write(const export_set *set, FILE *file)
{
    DS_TRY(npz_fits(set));
    DS_CHECK(fseeko(file, 0, SEEK_END) == 0, DS_ERR_USAGE,
             "export: an npz cannot go to a pipe: write a file, or .safetensors");
    npz_member *member = calloc(set->n + 1, sizeof *member);
    DS_CHECK(member != NULL, DS_ERR_NOMEM, "out of memory for %zu names", set->n);
    ds_status st = DS_OK;
    for (size_t i = 0; i < set->n && st == DS_OK; i++) {
        member[i].at = (uint32_t)ftello(file);
        st = npz_member_write(set, i, &member[i], file);
    }
    if (st == DS_OK)
        npz_directory(set, member, (uint32_t)ftello(file), file);
    free(member);
    return st;
}

const export_writer export_npz = {.extension = "npz", .write = npz_write};
