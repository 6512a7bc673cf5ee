/* Each pixel is looked up where it lies in the digit's own 5 x 7 grid after a random shift, turn,
 * slant and stretch, with bilinear smoothing: a digit that an MLP must learn by shape, not by
 * place. */
#include "digits.h"

#include <math.h>

#include "descent/power.h"

enum { FONT_W = 5, FONT_H = 7, NUMBERS = 1024 };

static const uint8_t font[10][FONT_H] = {
    {0x0E, 0x11, 0x13, 0x15, 0x19, 0x11, 0x0E}, {0x04, 0x0C, 0x04, 0x04, 0x04, 0x04, 0x0E},
    {0x0E, 0x11, 0x01, 0x02, 0x04, 0x08, 0x1F}, {0x1F, 0x02, 0x04, 0x02, 0x01, 0x11, 0x0E},
    {0x02, 0x06, 0x0A, 0x12, 0x1F, 0x02, 0x02}, {0x1F, 0x10, 0x1E, 0x01, 0x01, 0x11, 0x0E},
    {0x06, 0x08, 0x10, 0x1E, 0x11, 0x11, 0x0E}, {0x1F, 0x01, 0x02, 0x04, 0x08, 0x08, 0x08},
    {0x0E, 0x11, 0x11, 0x0E, 0x11, 0x11, 0x0E}, {0x0E, 0x11, 0x11, 0x0F, 0x01, 0x02, 0x0C}};

static double digits_font_at(int digit, int x, int y)
{
    if (x < 0 || x >= FONT_W || y < 0 || y >= FONT_H)
        return 0;
    return (font[digit][y] >> (FONT_W - 1 - x) & 1) != 0 ? 1 : 0;
}

static double digits_font_smooth(int digit, double x, double y)
{
    double fx = floor(x), fy = floor(y), u = x - fx, v = y - fy;
    int i = (int)fx, j = (int)fy;
    return (1 - v) * ((1 - u) * digits_font_at(digit, i, j) + u * digits_font_at(digit, i + 1, j)) +
           v * ((1 - u) * digits_font_at(digit, i, j + 1) +
                u * digits_font_at(digit, i + 1, j + 1));
}

void digits_draw(int digit, const ds_rng *rng, uint64_t index, double noise, uint8_t *out)
{
    uint64_t at = index * NUMBERS;
    double shift_x = 3 * (2 * ds_rng_uniform(rng, at) - 1),
           shift_y = 3 * (2 * ds_rng_uniform(rng, at + 1) - 1);
    double turn = 0.04 * (2 * ds_rng_uniform(rng, at + 2) - 1), /* of a whole one */
        slant = 0.25 * (2 * ds_rng_uniform(rng, at + 3) - 1);
    double size = 2.6 + 0.9 * ds_rng_uniform(rng, at + 4),
           ink = 0.7 + 0.3 * ds_rng_uniform(rng, at + 5);
    double c = ds_cos_turns(turn) / size, s = ds_sin_turns(turn) / size;
    for (int y = 0; y < DIGITS_SIDE; y++)
        for (int x = 0; x < DIGITS_SIDE; x++) {
            double dx = x - 13.5 - shift_x, dy = y - 13.5 - shift_y;
            double gx = c * dx + s * dy + slant * dy / size + (FONT_W - 1) / 2.0,
                   gy = -s * dx + c * dy + (FONT_H - 1) / 2.0;
            double v = ink * digits_font_smooth(digit, gx, gy) +
                       noise * ds_rng_normal(rng, at + 8 + (uint64_t)(y * DIGITS_SIDE + x));
            v = v < 0 ? 0 : v > 1 ? 1 : v;
            out[y * DIGITS_SIDE + x] = (uint8_t)(v * 255 + 0.5);
        }
}
