// The C library from C++: the header compiles as such, and objects free themselves.

#include "check.h"
#include <memory>
#include <sstream>
#include <string>
#include <vector>

template <auto free> struct Free {
    template <class T> void operator()(T *object) const { free(object); }
};
using CCtx = std::unique_ptr<nzip_CCtx, Free<nzip_freeCCtx>>;
using DCtx = std::unique_ptr<nzip_DCtx, Free<nzip_freeDCtx>>;
using Archive = std::unique_ptr<nzip_Archive, Free<nzip_freeArchive>>;

static std::string packed(nzip_CCtx *cctx, const std::string &raw) {
    std::string out(GOOD(nzip_compressBound(raw.size())), '\0');
    out.resize(GOOD(nzip_compress2(cctx, out.data(), out.size(), raw.data(), raw.size())));
    return out;
}

static int64_t read_at(void *user, uint64_t offset, void *buffer, size_t size) {
    auto &stream = *static_cast<std::istringstream *>(user);
    stream.clear();
    stream.seekg(static_cast<std::streamoff>(offset));
    stream.read(static_cast<char *>(buffer), static_cast<std::streamsize>(size));
    return stream.bad() ? -1 : stream.gcount();
}

int main() {
    std::string raw;
    for (int i = 0; i < 300; i++) raw += "line " + std::to_string(i) + "\n";
    CCtx cctx(nzip_createCCtx());
    GOOD(nzip_CCtx_setParameter(cctx.get(), nzip_c_level, 2));
    GOOD(nzip_CCtx_setParameter(cctx.get(), nzip_c_threads, 1));
    const std::string file = packed(cctx.get(), raw);

    DCtx dctx(nzip_createDCtx());
    GOOD(nzip_DCtx_setParameter(dctx.get(), nzip_d_threads, 1));
    std::string out, room(100, '\0');
    nzip_inBuffer in{file.data(), file.size(), 0};
    for (size_t left = 1; left != 0;) {
        nzip_outBuffer part{room.data(), room.size(), 0};
        left = GOOD(nzip_decompressStream(dctx.get(), &part, &in));
        out.append(room, 0, part.pos);
    }
    CHECK(out == raw && in.pos == file.size());

    std::istringstream stream(file);
    Archive archive(nzip_openArchive(dctx.get(), read_at, &stream, file.size()));
    CHECK(archive && nzip_Archive_size(archive.get()) == raw.size());
    CHECK(GOOD(nzip_Archive_read(archive.get(), 7, room.data(), 6)) == 6);
    CHECK(room.compare(0, 6, raw, 7, 6) == 0);
    // The archive has options of its own: the context may go first.
    dctx.reset();
    GOOD(nzip_Archive_verify(archive.get()));
    return 0;
}
