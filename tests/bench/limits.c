/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What one core can do at best, to hold a predictor against. A line of standard input asks, a
 * line of standard output answers:
 *
 *   isas               the instruction sets below that this machine has, fastest first
 *   f32 ISA MS         multiply-adds a second of single precision, in registers, for about MS milliseconds
 *   int8 ISA MS        the same of bytes, summed in 32 bits: the best of the ways that the set has
 *   read ISA BYTES     bytes a second that are read of a buffer of BYTES again and again: the best of the
 *                      loops below. It is as large as a model's weights, so that it lies where these do.
 *
 * 0: the instruction set has no such thing. The instruction sets are called as in cosmos_isa_name().
 */
#define _GNU_SOURCE
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#define HUGE_PAGE ((size_t)2 << 20)
#define ROW 256 /* bytes that a loop reads at one place before it goes to the next */

typedef void (*multiply)(uint64_t rounds);
typedef void (*reader)(const char *data, size_t bytes);

/* One way to multiply; there may be several of an instruction set. */
struct way {
        const char *isa, *what;
        multiply run;
        uint64_t each; /* multiply-adds a round */
};

#if defined(__x86_64__)

/*
 * In assembler, since a compiler would see that nothing becomes of it. Twelve accumulators: more than the latency of
 * a multiply-add times those that can begin in a cycle. Operands are no zeros, which might cost less power.
 */
static const float operand = 0x1.02p-3f;

#define REGISTERS                                                                                                      \
        "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10", "xmm11", "xmm12",     \
            "xmm13", "xmm14", "xmm15", "cc", "memory"
#define TWELVE(X) X("0") X("1") X("2") X("3") X("4") X("5") X("6") X("7") X("8") X("9") X("10") X("11")

#define MULTIPLY(name, begin, LINE, end)                                                                               \
        static void name(uint64_t rounds)                                                                              \
        {                                                                                                              \
                __asm__ volatile(begin "1:\n" TWELVE(LINE) "dec %0\n jnz 1b\n" end                                     \
                                 : "+r"(rounds)                                                                        \
                                 : "m"(operand)                                                                        \
                                 : REGISTERS);                                                                         \
        }

#define ZERO(i) "vxorps %%xmm" i ", %%xmm" i ", %%xmm" i "\n"
#define ZERO_SSE(i) "xorps %%xmm" i ", %%xmm" i "\n"
#define LOAD(r) TWELVE(ZERO) "vbroadcastss %1, %%" r "14\n vbroadcastss %1, %%" r "15\n"
#define LOAD_SSE TWELVE(ZERO_SSE) "movss %1, %%xmm15\n shufps $0, %%xmm15, %%xmm15\n movaps %%xmm15, %%xmm14\n"

#define FMA_512(i) "vfmadd231ps %%zmm14, %%zmm15, %%zmm" i "\n"
#define FMA_256(i) "vfmadd231ps %%ymm14, %%ymm15, %%ymm" i "\n"
#define FMA_SSE(i) "movaps %%xmm14, %%xmm13\n mulps %%xmm15, %%xmm13\n addps %%xmm13, %%xmm" i "\n"
/* Four products of bytes into 32 bits. */
#define DOT_512(i) "vpdpbusd %%zmm14, %%zmm15, %%zmm" i "\n"
/* Bytes that were widened beforehand: two products of 16 bits into 32. */
#define WORDS_512(i) "vpmaddwd %%zmm14, %%zmm15, %%zmm13\n vpaddd %%zmm13, %%zmm" i ", %%zmm" i "\n"
#define WORDS_256(i) "vpmaddwd %%ymm14, %%ymm15, %%ymm13\n vpaddd %%ymm13, %%ymm" i ", %%ymm" i "\n"
#define WORDS_SSE(i) "movaps %%xmm14, %%xmm13\n pmaddwd %%xmm15, %%xmm13\n paddd %%xmm13, %%xmm" i "\n"
/* Bytes of which two products fit into 16 bits, which are then widened by a product with ones. */
#define BYTES_512(i)                                                                                                   \
        "vpmaddubsw %%zmm14, %%zmm15, %%zmm13\n vpmaddwd %%zmm13, %%zmm14, %%zmm12\n vpaddd %%zmm12, %%zmm" i          \
        ", %%zmm" i "\n"
#define BYTES_256(i)                                                                                                   \
        "vpmaddubsw %%ymm14, %%ymm15, %%ymm13\n vpmaddwd %%ymm13, %%ymm14, %%ymm12\n vpaddd %%ymm12, %%ymm" i          \
        ", %%ymm" i "\n"

MULTIPLY(fma_512, LOAD("zmm"), FMA_512, "vzeroupper\n")
MULTIPLY(fma_256, LOAD("ymm"), FMA_256, "vzeroupper\n")
MULTIPLY(fma_sse, LOAD_SSE, FMA_SSE, "")
MULTIPLY(dot_512, LOAD("zmm"), DOT_512, "vzeroupper\n")
MULTIPLY(words_512, LOAD("zmm"), WORDS_512, "vzeroupper\n")
MULTIPLY(words_256, LOAD("ymm"), WORDS_256, "vzeroupper\n")
MULTIPLY(words_sse, LOAD_SSE, WORDS_SSE, "")
MULTIPLY(bytes_512, LOAD("zmm"), BYTES_512, "vzeroupper\n")
MULTIPLY(bytes_256, LOAD("ymm"), BYTES_256, "vzeroupper\n")

static const struct way ways[] = {
    {"avx512vnni", "f32", fma_512, 12 * 16},  {"avx512", "f32", fma_512, 12 * 16},
    {"avx2", "f32", fma_256, 12 * 8},         {"portable", "f32", fma_sse, 12 * 4},
    {"avx512vnni", "int8", dot_512, 12 * 64}, {"avx512", "int8", words_512, 12 * 32},
    {"avx512", "int8", bytes_512, 12 * 64},   {"avx2", "int8", words_256, 12 * 16},
    {"avx2", "int8", bytes_256, 12 * 32},     {"portable", "int8", words_sse, 12 * 8},
};

/* From one place on; from two, or four, at once, which more prefetchers follow; each without and with hints. */
#define READ(name, places, LINES, end)                                                                                 \
        static void name(const char *data, size_t bytes)                                                               \
        {                                                                                                              \
                size_t part = bytes / (places), rows = part / ROW;                                                     \
                                                                                                                       \
                __asm__ volatile("1:\n" LINES "add $256, %[p]\n dec %[rows]\n jnz 1b\n" end                            \
                                 : [p] "+r"(data), [rows] "+r"(rows)                                                   \
                                 : [s] "r"(part), [t] "r"(3 * part)                                                    \
                                 : REGISTERS);                                                                         \
        }

#define AT_1(X) X("(%[p])")
#define AT_2(X) X("(%[p])") X("(%[p],%[s])")
#define AT_4(X) X("(%[p])") X("(%[p],%[s])") X("(%[p],%[s],2)") X("(%[p],%[t])")

#define ROW_512(at)                                                                                                    \
        "vmovaps " at ", %%zmm0\n vmovaps 64" at ", %%zmm1\n vmovaps 128" at ", %%zmm2\n vmovaps 192" at ", %%zmm3\n"
#define HALF_256(o0, o1, o2, o3, at)                                                                                   \
        "vmovaps " o0 at ", %%ymm0\n vmovaps " o1 at ", %%ymm1\n vmovaps " o2 at ", %%ymm2\n vmovaps " o3 at           \
        ", %%ymm3\n"
#define ROW_256(at) HALF_256("0", "32", "64", "96", at) HALF_256("128", "160", "192", "224", at)
#define QUARTER_SSE(o0, o1, o2, o3, at)                                                                                \
        "movaps " o0 at ", %%xmm0\n movaps " o1 at ", %%xmm1\n movaps " o2 at ", %%xmm2\n movaps " o3 at ", %%xmm3\n"
#define ROW_SSE(at)                                                                                                    \
        QUARTER_SSE("0", "16", "32", "48", at)                                                                         \
        QUARTER_SSE("64", "80", "96", "112", at)                                                                       \
        QUARTER_SSE("128", "144", "160", "176", at) QUARTER_SSE("192", "208", "224", "240", at)
#define HINTS(at) "prefetcht0 1024" at "\n prefetcht0 1088" at "\n prefetcht0 1152" at "\n prefetcht0 1216" at "\n"
#define HINT_512(at) HINTS(at) ROW_512(at)
#define HINT_256(at) HINTS(at) ROW_256(at)

READ(read_512_1, 1, AT_1(ROW_512), "vzeroupper\n")
READ(read_512_2, 2, AT_2(ROW_512), "vzeroupper\n")
READ(read_512_4, 4, AT_4(ROW_512), "vzeroupper\n")
READ(hint_512_1, 1, AT_1(HINT_512), "vzeroupper\n")
READ(hint_512_4, 4, AT_4(HINT_512), "vzeroupper\n")
READ(read_256_1, 1, AT_1(ROW_256), "vzeroupper\n")
READ(read_256_2, 2, AT_2(ROW_256), "vzeroupper\n")
READ(read_256_4, 4, AT_4(ROW_256), "vzeroupper\n")
READ(hint_256_1, 1, AT_1(HINT_256), "vzeroupper\n")
READ(hint_256_4, 4, AT_4(HINT_256), "vzeroupper\n")
READ(read_sse_1, 1, AT_1(ROW_SSE), "")
READ(read_sse_4, 4, AT_4(ROW_SSE), "")

static const reader readers_512[] = {read_512_1, read_512_2, read_512_4, hint_512_1, hint_512_4,
                                     read_256_1, read_256_4, hint_256_1, NULL};
static const reader readers_256[] = {read_256_1, read_256_2, read_256_4, hint_256_1, hint_256_4, NULL};
static const reader readers_sse[] = {read_sse_1, read_sse_4, NULL};

static const reader *readers(const char *isa)
{
        return !strncmp(isa, "avx512", 6) ? readers_512 : !strcmp(isa, "avx2") ? readers_256 : readers_sse;
}

static int have(const char *isa)
{
        int avx512 = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                     __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq");

        if (!strcmp(isa, "avx512vnni"))
                return avx512 && __builtin_cpu_supports("avx512vnni");
        if (!strcmp(isa, "avx512"))
                return avx512;
        if (!strcmp(isa, "avx2"))
                return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
        return !strcmp(isa, "portable");
}

#else

/* AArch64: what its compiler makes of vectors of 16 bytes. */
typedef float four __attribute__((vector_size(16)));

static void fma_vector(uint64_t rounds)
{
        four a[12] = {{0}}, x = {0.1f, 0.2f, 0.3f, 0.4f};

        for (; rounds > 0; rounds--)
                for (int i = 0; i < 12; i++) {
                        __asm__ volatile("" : "+w"(x)); /* else the product is computed once */
                        a[i] += x * x;
                        __asm__ volatile("" : "+w"(a[i]));
                }
}

static void read_vector(const char *data, size_t bytes)
{
        for (size_t k = 0; k < bytes; k += sizeof(four)) {
                four x = *(const four *)(const void *)(data + k);
                __asm__ volatile("" : : "w"(x));
        }
}

static const struct way ways[] = {{"portable", "f32", fma_vector, 12 * 4}};
static const reader readers_vector[] = {read_vector, NULL};

static const reader *readers(const char *isa)
{
        (void)isa;
        return readers_vector;
}

static int have(const char *isa)
{
        return !strcmp(isa, "portable");
}

#endif

static double seconds(void)
{
        struct timespec t;

        clock_gettime(CLOCK_MONOTONIC, &t);
        return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static double multiply_rate(const struct way *way, double ms)
{
        uint64_t rounds = 10000, done = 0;
        double begun, taken;

        way->run(rounds);
        begun = seconds();
        do {
                way->run(rounds);
                done += rounds;
                taken = seconds() - begun;
        } while (taken < ms / 1000);
        return (double)(done * way->each) / taken;
}

/* Some 20 ms, shared by the loops that there are; of each the best of three, as another program's turn only slows. */
static double read_rate(const char *isa, size_t bytes)
{
        size_t times = ((size_t)32 << 20) / bytes + 1;
        double best = 0, begun, rate;
        char *data;

        bytes = bytes / (4 * ROW) * (4 * ROW);
        data = bytes ? aligned_alloc(HUGE_PAGE, (bytes + HUGE_PAGE) / HUGE_PAGE * HUGE_PAGE) : NULL;
        if (!data)
                return 0;
        madvise(data, (bytes + HUGE_PAGE) / HUGE_PAGE * HUGE_PAGE, MADV_HUGEPAGE);
        memset(data, 1, bytes);
        for (const reader *read = readers(isa); *read; read++) {
                (*read)(data, bytes);
                for (int i = 0; i < 3; i++) {
                        begun = seconds();
                        for (size_t k = 0; k < times; k++)
                                (*read)(data, bytes);
                        rate = (double)(bytes * times) / (seconds() - begun);
                        best = rate > best ? rate : best;
                }
        }
        free(data);
        return best;
}

int main(void)
{
        static const char *const isas[] = {"avx512vnni", "avx512", "avx2", "portable"};
        char line[100], what[20], isa[20];
        double number, best;

        while (fgets(line, sizeof(line), stdin)) {
                if (!strncmp(line, "isas", 4)) {
                        for (size_t i = 0; i < sizeof(isas) / sizeof(*isas); i++)
                                if (have(isas[i]))
                                        printf("%s ", isas[i]);
                        printf("\n");
                } else if (sscanf(line, "%19s %19s %lf", what, isa, &number) == 3 && have(isa)) {
                        best = strcmp(what, "read") ? 0 : read_rate(isa, (size_t)number);
                        for (size_t i = 0; i < sizeof(ways) / sizeof(*ways); i++)
                                if (!strcmp(ways[i].isa, isa) && !strcmp(ways[i].what, what)) {
                                        double rate = multiply_rate(&ways[i], number);
                                        best = rate > best ? rate : best;
                                }
                        printf("%.6g\n", best);
                } else {
                        fprintf(stderr, "limits: can't do '%s'\n", line);
                        return 2;
                }
                fflush(stdout);
        }
        return 0;
}
