/* What native.c and its packing share. */
#ifndef DS_NATIVE_PARTS_H
#define DS_NATIVE_PARTS_H

#include "native.h"
#include "parts.h"

#endif
