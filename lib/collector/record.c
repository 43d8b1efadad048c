/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Outline: numbers; one scanner of "key=value" pairs that all records share; the
 * records, each a loop over its pairs.
 *
 * A record cannot be forged from inside: the kernel writes every string that a
 * process chooses either in quotes, if it has no quote, space or control
 * character, or in hexadecimal. Pairs are taken at their first occurrence.
 */
#include "collector/record.h"

#include "base/base.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

/* ---- numbers --------------------------------------------------------------- */

static const int8_t hex_value[256] = {
    ['0'] = 1,  ['1'] = 2,  ['2'] = 3,  ['3'] = 4,  ['4'] = 5,  ['5'] = 6,  ['6'] = 7,  ['7'] = 8,
    ['8'] = 9,  ['9'] = 10, ['a'] = 11, ['b'] = 12, ['c'] = 13, ['d'] = 14, ['e'] = 15, ['f'] = 16,
    ['A'] = 11, ['B'] = 12, ['C'] = 13, ['D'] = 14, ['E'] = 15, ['F'] = 16,
};

static int parse_hex(struct cosmos__slice s, uint64_t *ret)
{
        uint64_t v = 0;

        if (s.n == 0 || s.n > 16)
                return -EBADMSG;
        for (size_t i = 0; i < s.n; i++) {
                int digit = hex_value[s.data[i]];

                if (digit == 0)
                        return -EBADMSG;
                v = v << 4 | (uint64_t)(digit - 1);
        }
        *ret = v;
        return 0;
}

static int parse_dec(struct cosmos__slice s, uint64_t max, uint64_t *ret)
{
        uint64_t v = 0;

        if (s.n == 0 || s.n > 20)
                return -EBADMSG;
        for (size_t i = 0; i < s.n; i++) {
                uint64_t digit = (uint64_t)s.data[i] - '0';

                if (digit > 9 || v > max / 10 || v * 10 > max - digit)
                        return -EBADMSG;
                v = v * 10 + digit;
        }
        *ret = v;
        return 0;
}

static int parse_u32(struct cosmos__slice s, uint32_t *ret)
{
        uint64_t v = 0;
        int r = parse_dec(s, UINT32_MAX, &v);

        if (r == 0)
                *ret = (uint32_t)v;
        return r;
}

static int parse_pid(struct cosmos__slice s, int32_t *ret)
{
        uint64_t v = 0;
        int r = parse_dec(s, INT32_MAX, &v);

        if (r == 0)
                *ret = (int32_t)v;
        return r;
}

static int parse_signed(struct cosmos__slice s, int64_t *ret)
{
        bool negative = s.n > 0 && s.data[0] == '-';
        uint64_t v = 0;
        int r;

        if (negative) {
                s.data++;
                s.n--;
        }
        r = parse_dec(s, (uint64_t)INT64_MAX + negative, &v);
        if (r == 0)
                *ret = (int64_t)(negative ? 0 - v : v);
        return r;
}

/* ---- head ------------------------------------------------------------------ */

/* The part of `s` before the first `stop`, which is consumed too; false if there is none. */
static bool cut(struct cosmos__slice *s, uint8_t stop, struct cosmos__slice *ret)
{
        const uint8_t *p = s->n ? memchr(s->data, stop, s->n) : NULL;

        if (!p)
                return false;
        *ret = (struct cosmos__slice){s->data, (size_t)(p - s->data)};
        s->n -= ret->n + 1;
        s->data = p + 1;
        return true;
}

static bool eat(struct cosmos__slice *s, const char *text)
{
        size_t n = strlen(text);

        if (s->n < n || memcmp(s->data, text, n) != 0)
                return false;
        s->data += n;
        s->n -= n;
        return true;
}

int cosmos__record_parse_head(const uint8_t *data, size_t n, struct cosmos__record_head *ret)
{
        struct cosmos__slice s = {data, n}, part;
        uint64_t seconds, ms, serial;

        /* 9223372035 s: what still fits into nanoseconds of 64 bits. The kernel's serials
         * have 32; those above 63 would not fit into a line of a trace. */
        if (!eat(&s, "audit(") || !cut(&s, '.', &part) || parse_dec(part, 9223372035u, &seconds) < 0 ||
            !cut(&s, ':', &part) || part.n != 3 || parse_dec(part, 999, &ms) < 0 || !cut(&s, ')', &part) ||
            parse_dec(part, INT64_MAX, &serial) < 0 || !eat(&s, ":"))
                return -EBADMSG;
        eat(&s, " ");
        ret->timestamp = (int64_t)(seconds * 1000000000u + ms * 1000000u);
        ret->serial = serial;
        ret->body = s;
        return 0;
}

int cosmos__record_parse_log_line(const uint8_t *data, size_t n, enum cosmos__record_type *ret_type,
                                  struct cosmos__record_head *ret)
{
        static const struct {
                const char *name;
                enum cosmos__record_type type;
        } types[] = {
            {"SYSCALL", COSMOS__RECORD_SYSCALL}, {"PATH", COSMOS__RECORD_PATH}, {"SOCKADDR", COSMOS__RECORD_SOCKADDR},
            {"EXECVE", COSMOS__RECORD_EXECVE},   {"EOE", COSMOS__RECORD_EOE},   {"PROCTITLE", COSMOS__RECORD_PROCTITLE},
        };
        struct cosmos__slice s = {data, n}, part;

        if (eat(&s, "node=") && !cut(&s, ' ', &part))
                return -EBADMSG;
        if (!eat(&s, "type=") || !cut(&s, ' ', &part) || !eat(&s, "msg="))
                return -EBADMSG;
        *ret_type = COSMOS__RECORD_OTHER;
        for (size_t i = 0; i < ARRAY_SIZE(types); i++)
                if (part.n == strlen(types[i].name) && memcmp(part.data, types[i].name, part.n) == 0)
                        *ret_type = types[i].type;
        return cosmos__record_parse_head(s.data, s.n, ret);
}

/* ---- pairs ----------------------------------------------------------------- */

struct pair {
        struct cosmos__slice key;
        struct cosmos__untrusted value;
};

/* The next "key=value" of the body: 1; 0 at its end, or at the 0x1d with which
 * auditd begins the fields that it has interpreted itself; -EBADMSG if a quote is
 * not closed: the record is cut off. */
static int next_pair(struct cosmos__slice *s, struct pair *ret)
{
        const uint8_t *p = s->data, *end = s->data + s->n, *start;

        while (p < end && (*p == ' ' || *p == '\n' || *p == '\0'))
                p++;
        start = p;
        while (p < end && *p != '=' && *p != 0x1d)
                p++;
        if (p == end || *p == 0x1d)
                return 0;
        ret->key = (struct cosmos__slice){start, (size_t)(p - start)};
        p++;
        ret->value.quoted = p < end && *p == '"';
        if (ret->value.quoted)
                p++;
        start = p;
        if (ret->value.quoted)
                while (p < end && *p != '"')
                        p++;
        else
                while (p < end && *p != ' ' && *p != 0x1d && *p != '\n' && *p != '\0')
                        p++;
        ret->value.raw = (struct cosmos__slice){start, (size_t)(p - start)};
        if (ret->value.quoted && p++ == end)
                return -EBADMSG;
        s->n = (size_t)(end - p);
        s->data = p;
        return 1;
}

static bool key_is(const struct pair *pair, const char *key)
{
        return pair->key.n == strlen(key) && memcmp(pair->key.data, key, pair->key.n) == 0;
}

static bool value_is(const struct pair *pair, const char *text)
{
        return pair->value.raw.n == strlen(text) && memcmp(pair->value.raw.data, text, pair->value.raw.n) == 0;
}

/* Where the kernel has none: not a text that looks like it, which would be in quotes. */
static struct cosmos__untrusted untrusted(const struct pair *pair)
{
        return !pair->value.quoted && value_is(pair, "(null)") ? (struct cosmos__untrusted){0} : pair->value;
}

size_t cosmos__untrusted_decode(const struct cosmos__untrusted *value, char *out, size_t room)
{
        const uint8_t *in = value->raw.data;
        size_t n = value->raw.n;

        if (value->quoted) {
                n = MIN(n, room);
                for (size_t i = 0; i < n; i++)
                        out[i] = in[i] ? (char)in[i] : ' ';
                return n;
        }
        if (n % 2)
                return 0;
        for (size_t i = 0; i < n; i++)
                if (hex_value[in[i]] == 0)
                        return 0;
        n = MIN(n / 2, room);
        for (size_t i = 0; i < n; i++) {
                char c = (char)((hex_value[in[2 * i]] - 1) << 4 | (hex_value[in[2 * i + 1]] - 1));

                out[i] = c ? c : ' ';
        }
        return n;
}

/* ---- SYSCALL --------------------------------------------------------------- */

enum {
        SEEN_ARCH = 1 << 0,
        SEEN_NR = 1 << 1,
        SEEN_PID = 1 << 2,
        SEEN_EXIT = 1 << 3,
        SEEN_PPID = 1 << 4,
        SEEN_AUID = 1 << 5,
        SEEN_UID = 1 << 6,
        SEEN_COMM = 1 << 7,
        SEEN_EXE = 1 << 8,
        SEEN_ARG = 1 << 9, /* and the three after it */
        SEEN_ALL = (1 << 13) - 1,
};

static int field_hex32(const struct pair *pair, uint32_t *ret)
{
        uint64_t v = 0;
        int r = parse_hex(pair->value.raw, &v);

        if (r < 0 || v > UINT32_MAX)
                return -EBADMSG;
        *ret = (uint32_t)v;
        return 0;
}

/* Store one pair if it is ours: 0 (also if it is not), or -EBADMSG. */
static int syscall_field(const struct pair *pair, struct cosmos__syscall_record *ret, unsigned int *seen)
{
#define ONCE(bit, expression)                                                                                          \
        do {                                                                                                           \
                if (*seen & (bit))                                                                                     \
                        return 0;                                                                                      \
                *seen |= (bit);                                                                                        \
                return (expression);                                                                                   \
        } while (0)

        const uint8_t *key = pair->key.data;

        switch (pair->key.n) {
        case 2:
                if (key[0] == 'a' && key[1] >= '0' && key[1] <= '3')
                        ONCE((unsigned int)SEEN_ARG << (key[1] - '0'),
                             parse_hex(pair->value.raw, &ret->args[key[1] - '0']));
                break;
        case 3:
                if (key_is(pair, "pid"))
                        ONCE(SEEN_PID, parse_pid(pair->value.raw, &ret->pid));
                if (key_is(pair, "uid"))
                        ONCE(SEEN_UID, parse_u32(pair->value.raw, &ret->uid));
                if (key_is(pair, "exe"))
                        ONCE(SEEN_EXE, (ret->exe = untrusted(pair), 0));
                break;
        case 4:
                if (key_is(pair, "arch"))
                        ONCE(SEEN_ARCH, field_hex32(pair, &ret->arch));
                if (key_is(pair, "exit"))
                        ONCE(SEEN_EXIT, parse_signed(pair->value.raw, &ret->exit));
                if (key_is(pair, "ppid"))
                        ONCE(SEEN_PPID, parse_pid(pair->value.raw, &ret->ppid));
                if (key_is(pair, "auid"))
                        ONCE(SEEN_AUID, parse_u32(pair->value.raw, &ret->auid));
                if (key_is(pair, "comm"))
                        ONCE(SEEN_COMM, (ret->comm = untrusted(pair), 0));
                break;
        case 7:
                if (key_is(pair, "syscall"))
                        ONCE(SEEN_NR, parse_u32(pair->value.raw, &ret->nr));
                break;
        }
        return 0;
#undef ONCE
}

int cosmos__record_parse_syscall(struct cosmos__slice body, struct cosmos__syscall_record *ret)
{
        const uint8_t *end = body.data + body.n;
        unsigned int seen = 0;
        struct pair pair;
        int r;

        *ret = (struct cosmos__syscall_record){0};
        while ((r = next_pair(&body, &pair)) > 0) {
                r = syscall_field(&pair, ret, &seen);
                if (r < 0)
                        return r;
        }
        ret->has_exit = seen & SEEN_EXIT;
        if (r < 0 || (seen | SEEN_EXIT) != SEEN_ALL)
                return -EBADMSG;
        /* "key=" follows it: if nothing does, hexadecimal digits may be missing. */
        return ret->exe.raw.data && !ret->exe.quoted && ret->exe.raw.data + ret->exe.raw.n == end ? -EBADMSG : 0;
}

/* ---- PATH, EXECVE, SOCKADDR -------------------------------------------------- */

int cosmos__record_parse_path(struct cosmos__slice body, struct cosmos__path_record *ret)
{
        bool item = false, name = false;
        struct pair pair;
        int r;

        *ret = (struct cosmos__path_record){0};
        while ((r = next_pair(&body, &pair)) > 0) {
                if (key_is(&pair, "item"))
                        item = true;
                else if (key_is(&pair, "name") && !name) {
                        name = pair.value.quoted || pair.value.raw.n > 0;
                        ret->name = untrusted(&pair);
                } else if (key_is(&pair, "nametype"))
                        ret->parent = value_is(&pair, "PARENT");
        }
        return r < 0 || !item || !name ? -EBADMSG : 0;
}

/* Is it the key of an argument: a0, a12, a3[7]? Not a3_len. `ret_piece`: a later piece of one. */
static bool is_argument(const struct pair *pair, bool *ret_piece)
{
        const uint8_t *key = pair->key.data;
        size_t i = 1;

        if (pair->key.n < 2 || key[0] != 'a')
                return false;
        while (i < pair->key.n && key[i] >= '0' && key[i] <= '9')
                i++;
        *ret_piece = i + 2 < pair->key.n && key[i] == '[' && !(key[i + 1] == '0' && key[i + 2] == ']');
        return i > 1 && (i == pair->key.n || key[i] == '[');
}

size_t cosmos__record_decode_execve(struct cosmos__slice body, char *out, size_t room)
{
        bool piece, first = true;
        struct pair pair;
        size_t used = 0;

        while (next_pair(&body, &pair) > 0) {
                if (!is_argument(&pair, &piece))
                        continue;
                if (!first && used < room && !piece)
                        out[used++] = ' ';
                used += cosmos__untrusted_decode(&pair.value, out + used, room - used);
                first = false;
        }
        return used;
}

void cosmos__format_sockaddr(const struct sockaddr_storage *address, size_t n, char *out, size_t room)
{
        const struct sockaddr_in *in = (const void *)address;
        const struct sockaddr_in6 *in6 = (const void *)address;
        const struct sockaddr_un *un = (const void *)address;
        char text[INET6_ADDRSTRLEN];

        if (address->ss_family == AF_INET && n >= sizeof(*in)) {
                inet_ntop(AF_INET, &in->sin_addr, text, sizeof(text));
                snprintf(out, room, "%s:%u", text, ntohs(in->sin_port));
        } else if (address->ss_family == AF_INET6 && n >= offsetof(struct sockaddr_in6, sin6_scope_id)) {
                inet_ntop(AF_INET6, &in6->sin6_addr, text, sizeof(text));
                snprintf(out, room, "[%s]:%u", text, ntohs(in6->sin6_port));
        } else if (address->ss_family == AF_UNIX && n > offsetof(struct sockaddr_un, sun_path)) {
                size_t length = MIN(n - offsetof(struct sockaddr_un, sun_path), sizeof(un->sun_path));
                bool abstract = un->sun_path[0] == 0;

                if (abstract)
                        snprintf(out, room, "unix:@%.*s", (int)length - 1, un->sun_path + 1);
                else
                        snprintf(out, room, "unix:%.*s", (int)length, un->sun_path);
        } else
                out[0] = 0;
}

int cosmos__record_decode_sockaddr(struct cosmos__slice body, char *out, size_t room)
{
        struct sockaddr_storage address = {0};
        struct pair pair;

        while (next_pair(&body, &pair) > 0) {
                const struct cosmos__slice *raw = &pair.value.raw;
                size_t n = MIN(raw->n / 2, sizeof(address));

                if (!key_is(&pair, "saddr"))
                        continue;
                if (pair.value.quoted || raw->n % 2 || n < sizeof(address.ss_family))
                        return -EBADMSG;
                for (size_t i = 0; i < n; i++) {
                        uint64_t byte;

                        if (parse_hex((struct cosmos__slice){raw->data + 2 * i, 2}, &byte) < 0)
                                return -EBADMSG;
                        ((uint8_t *)&address)[i] = (uint8_t)byte;
                }
                cosmos__format_sockaddr(&address, n, out, room);
                return 0;
        }
        return -EBADMSG;
}
