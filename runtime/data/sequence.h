/* What the formats of token sequences share: one long row of tokens becomes windows of the model's
 * length, each position's label being the token after it. */
#ifndef DS_SEQUENCE_H
#define DS_SEQUENCE_H

#include "read.h"

/* The part of the tokens to be read, as fractions: [from n, to n). A tail held out of the training
 * text is `to: 0.9` there and `from: 0.9` here. */
typedef struct ds_sequence_part {
    double from, to;
} ds_sequence_part;

/* Local. Set n, input, kind, labels and classes of `out` for the part of tokens read from `where`:
 * windows of T = request->input's elements every T tokens, the last T + 1 or fewer left out where
 * they fill no window; where targets are optional, all tokens, the last window padded with zeros.
 * Errors: USAGE (a loss without classes; a part that ends before it begins), DATA (fewer than T + 1
 * tokens; a token >= vocab). */
typedef struct ds_sequence {
    size_t n_tokens, vocab;
    const uint8_t *bytes;    /* (n_tokens), or */
    const uint16_t *numbers; /* (n_tokens) */
} ds_sequence;
ds_status ds_sequence_cut(const ds_read_request *request, const char *where,
                          const ds_sequence *tokens, const ds_sequence_part *part,
                          ds_dataset *out) DS_NODISCARD;

#endif
