/* SPDX-License-Identifier: Apache-2.0 */
/* Bytes as gzip(1) would write them, and in pieces. */
#ifndef COSMOS_TEST_GZIP_H
#define COSMOS_TEST_GZIP_H

#include <gtest/gtest.h>
#include <zlib.h>

#include <string>

namespace support
{

/* One member, open until finish(). */
class Gzip
{
      public:
        explicit Gzip(int level = 6)
        {
                EXPECT_EQ(deflateInit2(&z, level, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY), Z_OK);
        }
        ~Gzip()
        {
                deflateEnd(&z);
        }
        Gzip(const Gzip &) = delete;
        Gzip &operator=(const Gzip &) = delete;

        /* What is to be written for these bytes now; with `flush` they can all be read again. */
        std::string put(const std::string &bytes, bool flush = false)
        {
                return run(bytes, flush ? Z_SYNC_FLUSH : Z_NO_FLUSH);
        }
        std::string finish()
        {
                return run("", Z_FINISH);
        }

      private:
        std::string run(const std::string &bytes, int flush)
        {
                std::string in = bytes, out;
                char block[65536];

                z.next_in = reinterpret_cast<Bytef *>(in.data());
                z.avail_in = static_cast<uInt>(in.size());
                do {
                        z.next_out = reinterpret_cast<Bytef *>(block);
                        z.avail_out = sizeof(block);
                        deflate(&z, flush);
                        out.append(block, sizeof(block) - z.avail_out);
                } while (z.avail_out == 0);
                return out;
        }

        z_stream z = {};
};

inline std::string gzip(const std::string &bytes, int level = 6)
{
        Gzip g(level);
        std::string out = g.put(bytes);

        return out + g.finish();
}

} // namespace support

#endif
