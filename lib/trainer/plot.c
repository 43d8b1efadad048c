/* SPDX-License-Identifier: Apache-2.0 */
#include "trainer/plot.h"

#include <math.h>

#define WIDTH 720
#define HEIGHT 400
#define LEFT 64 /* of the axes, as the next three */
#define RIGHT 700
#define TOP 44
#define BOTTOM 340
#define TICKS 6 /* about so many */

/* From values to places in the picture. */
struct scale {
        double x_low, x_high, y_high; /* y begins at 0, which is the best that there can be */
};

static const char style[] = "<style>\n"
                            "text { font: 13px sans-serif; fill: #1f2328 }\n"
                            ".page { fill: #ffffff }\n"
                            ".axis, .grid, .rate, .loss, .held { fill: none }\n"
                            ".axis { stroke: #1f2328 }\n"
                            ".grid { stroke: #d8dee4 }\n"
                            ".rate { stroke: #6e7781; stroke-dasharray: 2 4 }\n"
                            ".loss { stroke: #0a62c9; stroke-width: 2; stroke-dasharray: 7 3 }\n"
                            ".held { stroke: #b3480b; stroke-width: 2.5; stroke-linecap: round }\n"
                            "@media (prefers-color-scheme: dark) {\n"
                            "text { fill: #e6edf3 }\n"
                            ".page { fill: #0d1117 }\n"
                            ".axis { stroke: #e6edf3 }\n"
                            ".grid { stroke: #30363d }\n"
                            ".rate { stroke: #9198a1 }\n"
                            ".loss { stroke: #6cb6ff }\n"
                            ".held { stroke: #f69d50 }\n"
                            "}\n"
                            "</style>\n";

static double x_of(const struct scale *s, double epoch)
{
        return LEFT + (epoch - s->x_low) / (s->x_high - s->x_low) * (RIGHT - LEFT);
}

static double y_of(const struct scale *s, double nll)
{
        return BOTTOM - nll / s->y_high * (BOTTOM - TOP);
}

/* 1, 2 or 5 times a power of ten, so that there are about TICKS in the range. */
static double tick_step(double range)
{
        const double least = range / TICKS, power = pow(10, floor(log10(least)));

        return power * (least <= power ? 1 : least <= 2 * power ? 2 : least <= 5 * power ? 5 : 10);
}

/* A tenth is as fine as anyone sees. */
static void put_place(struct cosmos__page *svg, double place)
{
        const long tenths = lround(place * 10);

        cosmos__page_put(svg, "%ld.%ld", tenths / 10, tenths % 10);
}

static void put_line(struct cosmos__page *svg, const char *class, const double from[2], const double to[2])
{
        const double places[] = {from[0], from[1], to[0], to[1]};
        static const char *const names[] = {"x1", "y1", "x2", "y2"};

        cosmos__page_put(svg, "<line class=\"%s\"", class);
        for (size_t i = 0; i < ARRAY_SIZE(places); i++) {
                cosmos__page_put(svg, " %s=\"", names[i]);
                put_place(svg, places[i]);
                cosmos__page_put(svg, "\"");
        }
        cosmos__page_put(svg, "/>\n");
}

static void put_text_begin(struct cosmos__page *svg, double x, double y, const char *anchor)
{
        cosmos__page_put(svg, "<text x=\"");
        put_place(svg, x);
        cosmos__page_put(svg, "\" y=\"");
        put_place(svg, y);
        cosmos__page_put(svg, "\" text-anchor=\"%s\">", anchor);
}

static void put_axes(struct cosmos__page *svg, const struct scale *s)
{
        const double step = tick_step(s->y_high), epochs = fmax(tick_step(s->x_high - s->x_low), 1);

        for (unsigned i = 0; i * step <= s->y_high; i++) {
                const double y = y_of(s, i * step);

                put_line(svg, "grid", (double[]){LEFT, y}, (double[]){RIGHT, y});
                put_text_begin(svg, LEFT - 8, y + 4, "end");
                cosmos__page_number(svg, i * step);
                cosmos__page_put(svg, "</text>\n");
        }
        for (double epoch = ceil(s->x_low / epochs) * epochs; epoch <= s->x_high; epoch += epochs) {
                const double x = x_of(s, epoch);

                put_line(svg, "axis", (double[]){x, BOTTOM}, (double[]){x, BOTTOM + 5});
                put_text_begin(svg, x, BOTTOM + 20, "middle");
                cosmos__page_put(svg, "%d</text>\n", (int)epoch);
        }
        cosmos__page_put(svg, "<path class=\"axis\" d=\"M%d %dV%dH%d\"/>\n", LEFT, TOP, BOTTOM, RIGHT);
        cosmos__page_put(svg, "<text x=\"%d\" y=\"%d\" text-anchor=\"middle\">epoch</text>\n", (LEFT + RIGHT) / 2,
                         BOTTOM + 44);
        cosmos__page_put(svg,
                         "<text transform=\"translate(18 %d) rotate(-90)\" text-anchor=\"middle\">"
                         "mean NLL, nats a call</text>\n",
                         (TOP + BOTTOM) / 2);
}

/* Whether there is any. */
static bool put_rates(struct cosmos__page *svg, const struct scale *s, const struct cosmos__curve_point *points,
                      size_t n)
{
        bool lowered = false;

        for (size_t i = 1; i < n; i++)
                if (points[i].rate > 0 && points[i].rate < points[i - 1].rate) {
                        const double x = x_of(s, (points[i - 1].epoch + (double)points[i].epoch) / 2);

                        put_line(svg, "rate", (double[]){x, TOP}, (double[]){x, BOTTOM});
                        lowered = true;
                }
        return lowered;
}

static void put_curve(struct cosmos__page *svg, const struct scale *s, const struct cosmos__curve_point *points,
                      size_t n, bool held)
{
        cosmos__page_put(svg, "<polyline class=\"%s\" points=\"", held ? "held" : "loss");
        for (size_t i = 0; i <= n; i++) { /* the first twice, so that one alone is a dot */
                const struct cosmos__curve_point *p = &points[i > 0 ? i - 1 : 0];

                cosmos__page_put(svg, "%s", i > 0 ? " " : "");
                put_place(svg, x_of(s, p->epoch));
                cosmos__page_put(svg, ",");
                put_place(svg, y_of(s, held ? p->held_out : p->loss));
        }
        cosmos__page_put(svg, "\"/>\n");
}

static void put_legend(struct cosmos__page *svg, bool lowered)
{
        static const struct {
                const char *class, *text;
                int x;
        } all[] = {
            {"loss", "while learning", LEFT},
            {"held", "held out", LEFT + 170},
            {"rate", "the learning rate is lowered", LEFT + 300},
        };

        for (size_t i = 0; i < ARRAY_SIZE(all) - !lowered; i++) { /* the last one only where it is */
                put_line(svg, all[i].class, (double[]){all[i].x, 22}, (double[]){all[i].x + 34, 22});
                cosmos__page_put(svg, "<text x=\"%d\" y=\"26\">%s</text>\n", all[i].x + 42, all[i].text);
        }
}

void cosmos__plot(struct cosmos__page *svg, const struct cosmos__curve_point *points, size_t n)
{
        struct scale s = {
            .x_low = points[0].epoch,
            .x_high = MAX(points[n - 1].epoch, points[0].epoch + 1),
            .y_high = 1e-3, /* so that there is a range, however good the model is */
        };
        bool lowered;

        for (size_t i = 0; i < n; i++)
                s.y_high = fmax(s.y_high, fmax(points[i].loss, points[i].held_out));
        cosmos__page_put(svg,
                         "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" height=\"%d\" viewBox=\"0 0 %d %d\" "
                         "role=\"img\">\n<title>Mean negative log-likelihood over epochs</title>\n%s"
                         "<rect class=\"page\" width=\"%d\" height=\"%d\"/>\n",
                         WIDTH, HEIGHT, WIDTH, HEIGHT, style, WIDTH, HEIGHT);
        put_axes(svg, &s);
        lowered = put_rates(svg, &s, points, n);
        put_curve(svg, &s, points, n, false);
        put_curve(svg, &s, points, n, true);
        put_legend(svg, lowered);
        cosmos__page_put(svg, "</svg>\n");
}
