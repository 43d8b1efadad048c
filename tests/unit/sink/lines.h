/* SPDX-License-Identifier: Apache-2.0 */
/* What a sink writes, and an event that jansson reads from it. */
#ifndef COSMOS_TEST_LINES_H
#define COSMOS_TEST_LINES_H

#include "support.h"

#include <cosmos/sink.h>

#include <jansson.h>

#include <memory>
#include <string>
#include <vector>

namespace lines
{

struct Decref {
        void operator()(json_t *json) const
        {
                json_decref(json);
        }
};
using Json = std::unique_ptr<json_t, Decref>;

/* The lines of the sink of lines. */
class Writer
{
      public:
        Writer()
        {
                EXPECT_EQ(cosmos_sink_new_lines(&sink, take, this, nullptr), 0);
        }
        ~Writer()
        {
                EXPECT_EQ(cosmos_sink_free(sink), nullptr);
        }
        Writer(const Writer &) = delete;
        Writer &operator=(const Writer &) = delete;

        std::string write(const cosmos_event *event)
        {
                EXPECT_EQ(cosmos_sink_write_event(sink, event, nullptr), 0);
                return last;
        }
        std::string write(const cosmos_score *score)
        {
                EXPECT_EQ(cosmos_sink_write_score(sink, score, nullptr), 0);
                return last;
        }

      private:
        static int take(void *userdata, const char *text, size_t length)
        {
                EXPECT_EQ(strlen(text), length);
                static_cast<Writer *>(userdata)->last = text;
                return 0;
        }

        cosmos_sink *sink = nullptr;
        std::string last;
};

inline Json parse(const std::string &line)
{
        json_error_t error;
        Json json(json_loadb(line.data(), line.size(), JSON_REJECT_DUPLICATES, &error));

        EXPECT_TRUE(json) << error.text << " in " << line;
        EXPECT_TRUE(json_is_object(json.get()));
        EXPECT_EQ(line.find('\n'), std::string::npos);
        return json;
}

/* A member as JSON text; "" if there is none. */
inline std::string get(const Json &json, const char *key)
{
        json_t *value = json_object_get(json.get(), key);
        std::string out;

        if (!value)
                return "";
        char *text = json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT);
        out = text;
        free(text);
        return out;
}

/* Length of the UTF-8 character at `i`, 0 if it is none: by jansson's own check. */
inline size_t utf8_at(const std::string &bytes, size_t i)
{
        for (size_t n = 1; n <= 4 && i + n <= bytes.size(); n++)
                if (Json(json_stringn(bytes.data() + i, n)))
                        return n;
        return 0;
}

/* What a reader sees of a process's bytes: as they are, but what is no UTF-8 as %XX. */
inline std::string readable(const std::string &bytes)
{
        std::string out;

        for (size_t i = 0; i < bytes.size();) {
                size_t n = utf8_at(bytes, i);
                char percent[8];

                if (n == 0) {
                        snprintf(percent, sizeof(percent), "%%%02X", static_cast<unsigned char>(bytes[i++]));
                        out += percent;
                } else {
                        out += bytes.substr(i, n);
                        i += n;
                }
        }
        return out;
}

} // namespace lines

#endif
