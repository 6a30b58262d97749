// Tests of the C library. Run by tools/test-c.sh, also under valgrind.
//
//   test basics               what needs no files: results, misuse, streams, archives, tensors
//   test same PACKED RAW      a file decodes to these bytes, in all ways
//   test packs RAW PACKED N   level N makes exactly this file, in all ways

#include "check.h"
#include <stdint.h>

typedef struct {
    unsigned char *bytes;
    size_t size;
} Bytes;

static Bytes read_file(const char *path) {
    FILE *file = fopen(path, "rb");
    CHECK(file != NULL);
    CHECK(fseek(file, 0, SEEK_END) == 0);
    Bytes all = {NULL, (size_t)ftell(file)};
    rewind(file);
    all.bytes = malloc(all.size + 1);
    CHECK(all.bytes != NULL && fread(all.bytes, 1, all.size, file) == all.size);
    fclose(file);
    return all;
}

// Text of words, the same on every machine.
static Bytes words(size_t size) {
    static const char *const list[] = {"many ", "small ", "words ", "make ", "a text, ", "and so on.\n"};
    Bytes text = {malloc(size), size};
    CHECK(text.bytes != NULL);
    uint32_t random = 7;
    for (size_t at = 0; at < size;) {
        random = random * 1664525u + 1013904223u;
        for (const char *c = list[(random >> 16) % 6]; *c && at < size; c++) text.bytes[at++] = (unsigned char)*c;
    }
    return text;
}

static nzip_CCtx *compressor(int level) {
    nzip_CCtx *cctx = nzip_createCCtx();
    CHECK(cctx != NULL);
    GOOD(nzip_CCtx_setParameter(cctx, nzip_c_threads, 1));
    GOOD(nzip_CCtx_setParameter(cctx, nzip_c_level, level));
    return cctx;
}

static nzip_DCtx *decompressor(void) {
    nzip_DCtx *dctx = nzip_createDCtx();
    CHECK(dctx != NULL);
    GOOD(nzip_DCtx_setParameter(dctx, nzip_d_threads, 1));
    return dctx;
}

// Compresses as a stream, in pieces of these sizes.
static Bytes stream_in(nzip_CCtx *cctx, Bytes raw, size_t piece, size_t room, int flush) {
    Bytes packed = {malloc(nzip_compressBound(raw.size) + 1000), 0};
    unsigned char *place = malloc(room);
    CHECK(packed.bytes != NULL && place != NULL);
    size_t at = 0;
    int end = nzip_e_continue;
    while (end != nzip_e_end) {
        size_t n = raw.size - at < piece ? raw.size - at : piece;
        nzip_inBuffer in = {raw.bytes + at, n, 0};
        end = at + n == raw.size ? nzip_e_end : flush ? nzip_e_flush : nzip_e_continue;
        size_t left;
        do {
            nzip_outBuffer out = {place, room, 0};
            left = GOOD(nzip_compressStream(cctx, &out, &in, end));
            CHECK(left == 0 || out.pos == room);
            memcpy(packed.bytes + packed.size, place, out.pos);
            packed.size += out.pos;
        } while (left > 0);
        CHECK(in.pos == n);
        at += n;
    }
    free(place);
    return packed;
}

// Decompresses one stream, in pieces of these sizes, and compares.
static void stream_out(nzip_DCtx *dctx, Bytes packed, Bytes raw, size_t piece, size_t room) {
    unsigned char *place = malloc(room);
    CHECK(place != NULL);
    size_t at = 0, done = 0, left = 1;
    while (at < packed.size || left > 0) {
        size_t n = packed.size - at < piece ? packed.size - at : piece;
        nzip_inBuffer in = {packed.bytes + at, n, 0};
        nzip_outBuffer out = {place, room, 0};
        left = GOOD(nzip_decompressStream(dctx, &out, &in));
        CHECK(in.pos + out.pos > 0 || left == 0);
        CHECK(done + out.pos <= raw.size && memcmp(raw.bytes + done, place, out.pos) == 0);
        at += in.pos;
        done += out.pos;
    }
    CHECK(at == packed.size && done == raw.size);
    free(place);
}

typedef struct {
    Bytes file;
    size_t most;     // bytes that a call reads
    int64_t failure; // what it returns instead, if that is not 0
    nzip_Archive *archive;
    nzip_ErrorCode again; // what using the archive from inside says
} Source;

static int64_t read_at(void *user, uint64_t offset, void *buffer, size_t size) {
    Source *source = user;
    if (source->archive) source->again = nzip_getErrorCode(nzip_Archive_verify(source->archive));
    if (source->failure) return source->failure;
    CHECK(offset <= source->file.size);
    size_t n = source->file.size - (size_t)offset;
    if (n > size) n = size;
    if (n > source->most) n = source->most;
    memcpy(buffer, source->file.bytes + offset, n);
    return (int64_t)n;
}

static void archive_reads(nzip_DCtx *dctx, Bytes packed, Bytes raw) {
    Source source = {packed, 1000, 0, NULL, nzip_error_no_error};
    nzip_Archive *archive = nzip_openArchive(dctx, read_at, &source, packed.size);
    CHECK(archive != NULL);
    CHECK(nzip_Archive_size(archive) == raw.size && nzip_Archive_storedSize(archive) == packed.size);
    unsigned char *all = malloc(raw.size + 10);
    CHECK(all != NULL);
    CHECK(GOOD(nzip_Archive_read(archive, 0, all, raw.size + 10)) == raw.size);
    CHECK(memcmp(all, raw.bytes, raw.size) == 0);
    size_t at = raw.size / 3, n = raw.size / 5;
    CHECK(GOOD(nzip_Archive_readRange(archive, at, all, n)) == n);
    CHECK(memcmp(all, raw.bytes + at, n) == 0);
    CHECK(GOOD(nzip_Archive_read(archive, raw.size + 5, all, 10)) == 0);
    FAILS(nzip_error_bad_argument, nzip_Archive_readRange(archive, raw.size, all, 1));
    GOOD(nzip_Archive_verify(archive));
    uint64_t sum = 0;
    size_t count = GOOD(nzip_Archive_blockCount(archive));
    for (size_t i = 0; i < count; i++) {
        nzip_BlockInfo block;
        GOOD(nzip_Archive_block(archive, i, &block));
        CHECK(block.rawOffset == sum && block.storedOffset + block.storedSize <= packed.size);
        CHECK(block.rangeCost <= block.rawSize && strlen(block.codec) > 1);
        sum += block.rawSize;
    }
    CHECK(sum == raw.size);
    nzip_BlockInfo none;
    FAILS(nzip_error_bad_argument, nzip_Archive_block(archive, count, &none));
    free(all);
    nzip_freeArchive(archive);
}

static void same(Bytes packed, Bytes raw) {
    CHECK(nzip_isNz(packed.bytes, packed.size) == 1);
    CHECK(nzip_contentSize(packed.bytes, packed.size) == raw.size);
    unsigned char *out = malloc(raw.size + 1);
    CHECK(out != NULL);
    CHECK(GOOD(nzip_decompress(out, raw.size, packed.bytes, packed.size)) == raw.size);
    CHECK(memcmp(out, raw.bytes, raw.size) == 0);
    nzip_DCtx *dctx = decompressor();
    GOOD(nzip_DCtx_setParameter(dctx, nzip_d_verifyHash, 1));
    CHECK(GOOD(nzip_decompressDCtx(dctx, out, raw.size + 1, packed.bytes, packed.size)) == raw.size);
    CHECK(memcmp(out, raw.bytes, raw.size) == 0);
    if (raw.size > 0)
        FAILS(nzip_error_dst_too_small,
              nzip_decompressDCtx(dctx, out, raw.size - 1, packed.bytes, packed.size));
    stream_out(dctx, packed, raw, 1 << 20, 1 << 20);
    stream_out(dctx, packed, raw, 777, 1000);
    archive_reads(dctx, packed, raw);
    free(out);
    nzip_freeDCtx(dctx);
}

static void packs(Bytes raw, Bytes packed, int level) {
    size_t bound = GOOD(nzip_compressBound(raw.size));
    unsigned char *out = malloc(bound);
    CHECK(out != NULL);
    CHECK(GOOD(nzip_compress(out, bound, raw.bytes, raw.size, level)) == packed.size);
    CHECK(memcmp(out, packed.bytes, packed.size) == 0);
    nzip_CCtx *cctx = compressor(level);
    CHECK(GOOD(nzip_compress2(cctx, out, bound, raw.bytes, raw.size)) == packed.size);
    CHECK(memcmp(out, packed.bytes, packed.size) == 0);
    Bytes streamed = stream_in(cctx, raw, 10007, 4096, 0);
    CHECK(streamed.size == packed.size && memcmp(streamed.bytes, packed.bytes, packed.size) == 0);
    free(streamed.bytes);
    free(out);
    nzip_freeCCtx(cctx);
}

static void results(void) {
    CHECK(nzip_versionNumber() ==
          10000 * NZIP_VERSION_MAJOR + 100 * NZIP_VERSION_MINOR + NZIP_VERSION_PATCH);
    CHECK(strchr(nzip_versionString(), '.') != NULL);
    CHECK(!nzip_isError(0) && !nzip_isError(SIZE_MAX / 2) && nzip_getErrorCode(5) == nzip_error_no_error);
    CHECK(nzip_isError((size_t)-nzip_error_corrupt) && nzip_isError((size_t)-99));
    CHECK(nzip_getErrorCode((size_t)-99) == nzip_error_generic);
    CHECK(strcmp(nzip_getErrorName(7), "no error") == 0);
    CHECK(nzip_compressBound(0) >= 64 && nzip_compressBound(1000) >= 1064);
    FAILS(nzip_error_bad_argument, nzip_compressBound(SIZE_MAX - 5));
    int mix = 0;
    size_t count = 0;
    for (; nzip_codecName(count) != NULL; count++) mix |= strcmp(nzip_codecName(count), "mix") == 0;
    CHECK(mix && count >= 5);
}

static void misuse(void) {
    unsigned char a[100] = {0}, b[200];
    FAILS(nzip_error_null, nzip_compress(NULL, 10, a, 10, 1));
    FAILS(nzip_error_null, nzip_compress(b, sizeof b, NULL, 10, 1));
    FAILS(nzip_error_bad_argument, nzip_compress(b, sizeof b, a, sizeof a, 10));
    FAILS(nzip_error_bad_argument, nzip_compress(b, sizeof b, a, sizeof a, -1));
    FAILS(nzip_error_bad_argument, nzip_compress(b, sizeof b, a, SIZE_MAX, 1));
    FAILS(nzip_error_bad_argument, nzip_compress(b, sizeof b, b + 50, 60, 1));
    FAILS(nzip_error_dst_too_small, nzip_compress(b, 5, a, sizeof a, 1));
    CHECK(strlen(nzip_lastErrorMessage()) > 10);
    FAILS(nzip_error_not_nz, nzip_decompress(b, sizeof b, a, sizeof a));
    FAILS(nzip_error_truncated, nzip_decompress(NULL, 0, NULL, 0));
    CHECK(nzip_isNz(NULL, 0) == 0 && nzip_isNz(NULL, 7) == 0);
    CHECK(nzip_contentSize(a, sizeof a) == NZIP_SIZE_ERROR);

    FAILS(nzip_error_null, nzip_CCtx_setParameter(NULL, nzip_c_level, 1));
    FAILS(nzip_error_null, nzip_compress2(NULL, b, sizeof b, a, sizeof a));
    FAILS(nzip_error_null, nzip_decompressDCtx(NULL, b, sizeof b, a, sizeof a));
    CHECK(!nzip_isError(nzip_freeCCtx(NULL)) && !nzip_isError(nzip_freeDCtx(NULL)));
    CHECK(!nzip_isError(nzip_freeArchive(NULL)));
    CHECK(nzip_Archive_size(NULL) == NZIP_SIZE_ERROR);
    FAILS(nzip_error_null, nzip_Archive_tensorCount(NULL));
    FAILS(nzip_error_null, nzip_Archive_read(NULL, 0, b, 10));

    nzip_CCtx *cctx = compressor(1);
    FAILS(nzip_error_bad_argument, nzip_CCtx_setParameter(cctx, nzip_c_level, 0));
    FAILS(nzip_error_bad_argument, nzip_CCtx_setParameter(cctx, nzip_c_level, 256 + 5));
    FAILS(nzip_error_bad_argument, nzip_CCtx_setParameter(cctx, nzip_c_memory, -1));
    FAILS(nzip_error_bad_argument, nzip_CCtx_setParameter(cctx, nzip_c_undo, 2));
    FAILS(nzip_error_bad_argument, nzip_CCtx_setParameter(cctx, 12345, 0));
    FAILS(nzip_error_bad_argument, nzip_CCtx_setCodec(cctx, "gzip"));
    FAILS(nzip_error_bad_argument, nzip_CCtx_setCodec(cctx, "\xff"));
    FAILS(nzip_error_null, nzip_CCtx_setCodec(cctx, NULL));
    FAILS(nzip_error_bad_argument, nzip_CCtx_setModel(cctx, "no such model"));
    FAILS(nzip_error_bad_argument, nzip_CCtx_setTensor(cctx, "F33", NULL, 0));
    nzip_outBuffer out = {b, sizeof b, 0};
    nzip_inBuffer in = {a, sizeof a, 0};
    FAILS(nzip_error_bad_argument, nzip_compressStream(cctx, &out, &in, 3));
    FAILS(nzip_error_null, nzip_compressStream(cctx, NULL, &in, 0));
    FAILS(nzip_error_null, nzip_compressStream(cctx, &out, NULL, 0));
    in.pos = in.size + 1;
    FAILS(nzip_error_bad_argument, nzip_compressStream(cctx, &out, &in, 0));
    in.pos = 0;
    GOOD(nzip_compressStream(cctx, &out, &in, nzip_e_continue));
    FAILS(nzip_error_bad_argument, nzip_compress2(cctx, b, sizeof b, a, sizeof a));
    FAILS(nzip_error_bad_argument, nzip_CCtx_setParameter(cctx, nzip_c_level, 2));
    GOOD(nzip_CCtx_reset(cctx));
    GOOD(nzip_CCtx_setParameter(cctx, nzip_c_level, 2));
    GOOD(nzip_compress2(cctx, b, sizeof b, a, sizeof a));
    nzip_freeCCtx(cctx);

    CHECK(nzip_openArchive(NULL, NULL, NULL, 10) == NULL);
    CHECK(nzip_openArchiveFile(NULL, NULL) == NULL);
    CHECK(nzip_openArchiveFile(NULL, "/no/such/file") == NULL);
    CHECK(strstr(nzip_lastErrorMessage(), "/no/such/file") != NULL);
}

static void streams(void) {
    Bytes raw = words(3000), none = {raw.bytes, 0};
    nzip_CCtx *cctx = compressor(2);
    nzip_DCtx *dctx = decompressor();
    size_t bound = nzip_compressBound(raw.size);
    Bytes whole = {malloc(bound), 0};
    whole.size = GOOD(nzip_compress2(cctx, whole.bytes, bound, raw.bytes, raw.size));
    for (size_t piece = 1; piece <= raw.size; piece = piece * 7 + 90) {
        Bytes packed = stream_in(cctx, raw, piece, 1 + piece / 3, 0);
        CHECK(packed.size == whole.size && memcmp(packed.bytes, whole.bytes, whole.size) == 0);
        stream_out(dctx, packed, raw, 1 + piece / 2, piece);
        free(packed.bytes);
    }
    Bytes flushed = stream_in(cctx, raw, 1000, 50, 1);
    CHECK(flushed.size > whole.size);
    same(flushed, raw);
    Bytes empty = stream_in(cctx, none, 1, 1, 0);
    same(empty, none);
    // Two streams one after the other, and what is missing at the end.
    memcpy(flushed.bytes + flushed.size, whole.bytes, whole.size - 1);
    nzip_inBuffer in = {flushed.bytes, flushed.size + whole.size - 1, 0};
    unsigned char *out = malloc(2 * raw.size);
    nzip_outBuffer room = {out, 2 * raw.size, 0};
    CHECK(GOOD(nzip_decompressStream(dctx, &room, &in)) == 0);
    CHECK(in.pos == flushed.size && room.pos == raw.size);
    CHECK(GOOD(nzip_decompressStream(dctx, &room, &in)) != 0);
    CHECK(in.pos == in.size);
    GOOD(nzip_DCtx_reset(dctx));
    // Damage: everything before it may come, then the same error at each call.
    whole.bytes[whole.size / 2] ^= 4;
    nzip_inBuffer bad = {whole.bytes, whole.size, 0};
    room.pos = 0;
    size_t result = nzip_decompressStream(dctx, &room, &bad);
    CHECK(nzip_isError(result) && nzip_decompressStream(dctx, &room, &bad) == result);
    GOOD(nzip_DCtx_reset(dctx));
    free(out);
    free(empty.bytes);
    free(flushed.bytes);
    free(whole.bytes);
    free(raw.bytes);
    nzip_freeCCtx(cctx);
    nzip_freeDCtx(dctx);
}

static void messages(void) {
    nzip_CCtx *cctx = compressor(1);
    nzip_DCtx *dctx = decompressor();
    char text[60], packed[200], out[60];
    for (int i = 0; i < 20; i++) {
        size_t size = (size_t)snprintf(text, sizeof text, "{\"id\": %d, \"name\": \"user %d\"}", i, i % 7);
        size_t n = GOOD(nzip_compress2(cctx, packed, sizeof packed, text, size));
        CHECK(GOOD(nzip_decompressDCtx(dctx, out, sizeof out, packed, n)) == size);
        CHECK(memcmp(text, out, size) == 0);
        // Every prefix is an error.
        for (size_t part = i == 0 ? 0 : n - 1; part < n; part++) {
            if (part > 0) CHECK(nzip_isError(nzip_decompressDCtx(dctx, out, sizeof out, packed, part)));
        }
    }
    GOOD(nzip_DCtx_setParameter(dctx, nzip_d_memory, 1 << 20));
    nzip_freeCCtx(cctx);
    nzip_freeDCtx(dctx);
}

static void archives(void) {
    Bytes raw = words(2000);
    size_t bound = nzip_compressBound(raw.size);
    Bytes packed = {malloc(bound), 0};
    nzip_CCtx *cctx = compressor(1);
    packed.size = GOOD(nzip_compress2(cctx, packed.bytes, bound, raw.bytes, raw.size));
    same(packed, raw);
    Source source = {packed, 50, 0, NULL, nzip_error_no_error};
    nzip_Archive *archive = nzip_openArchive(NULL, read_at, &source, packed.size);
    unsigned char out[100];
    source.archive = archive;
    CHECK(GOOD(nzip_Archive_read(archive, 10, out, 100)) == 100);
    CHECK(source.again == nzip_error_busy);
    source.archive = NULL;
    source.failure = -5;
    FAILS(nzip_error_io, nzip_Archive_readRange(archive, 1500, out, 10));
    source.failure = INT64_MAX;
    FAILS(nzip_error_io, nzip_Archive_readRange(archive, 1500, out, 10));
    source.failure = 0;
    GOOD(nzip_Archive_readRange(archive, 1500, out, 10));
    CHECK(GOOD(nzip_Archive_tensorCount(archive)) == 0);
    nzip_freeArchive(archive);
    for (size_t size = 0; size < packed.size; size++) {
        Source part = {{packed.bytes, size}, 1000, 0, NULL, nzip_error_no_error};
        archive = nzip_openArchive(NULL, read_at, &part, size);
        if (archive != NULL) CHECK(nzip_isError(nzip_Archive_verify(archive)));
        nzip_freeArchive(archive);
    }
    free(packed.bytes);
    free(raw.bytes);
    nzip_freeCCtx(cctx);
}

static void tensors(void) {
    enum { rows = 40, row = 100 };
    static float table[rows][row];
    for (int i = 0; i < rows * row; i++) table[i / row][i % row] = (float)i * 0.5f;
    Bytes raw = {(unsigned char *)table, sizeof table};
    nzip_CCtx *cctx = compressor(1);
    uint64_t shape[] = {rows, row};
    GOOD(nzip_CCtx_setTensor(cctx, "F32", shape, 2));
    size_t bound = nzip_compressBound(raw.size);
    Bytes packed = {malloc(bound), 0};
    packed.size = GOOD(nzip_compress2(cctx, packed.bytes, bound, raw.bytes, raw.size));
    Source source = {packed, 4096, 0, NULL, nzip_error_no_error};
    nzip_Archive *archive = nzip_openArchive(NULL, read_at, &source, packed.size);
    CHECK(archive != NULL && GOOD(nzip_Archive_tensorCount(archive)) == 1);
    nzip_TensorInfo info;
    GOOD(nzip_Archive_tensor(archive, 0, &info));
    CHECK(strcmp(info.name, "data") == 0 && info.nameSize == 4 && strcmp(info.dtype, "F32") == 0);
    CHECK(info.rank == 2 && info.shape[0] == rows && info.shape[1] == row);
    CHECK(info.offset == 0 && info.size == raw.size);
    FAILS(nzip_error_bad_argument, nzip_Archive_tensor(archive, 1, &info));
    FAILS(nzip_error_null, nzip_Archive_tensor(archive, 0, NULL));
    size_t number = GOOD(nzip_Archive_findTensor(archive, "data", 4));
    FAILS(nzip_error_bad_argument, nzip_Archive_findTensor(archive, "dat", 3));
    static float out[rows][row];
    GOOD(nzip_Archive_readTensor(archive, number, out, sizeof out));
    CHECK(memcmp(out, table, sizeof out) == 0);
    FAILS(nzip_error_bad_argument, nzip_Archive_readTensor(archive, number, out, sizeof out - 1));
    GOOD(nzip_Archive_readRows(archive, number, 3, 2, out, 2 * sizeof out[0]));
    CHECK(memcmp(out, table[3], 2 * sizeof out[0]) == 0);
    FAILS(nzip_error_bad_argument, nzip_Archive_readRows(archive, number, 39, 2, out, 2 * sizeof out[0]));
    FAILS(nzip_error_bad_argument, nzip_Archive_readRows(archive, number, UINT64_MAX, 2, out, 4));
    uint64_t wanted[] = {30, 2, 30};
    GOOD(nzip_Archive_gatherRows(archive, number, wanted, 3, out, 3 * sizeof out[0]));
    for (int i = 0; i < 3; i++) CHECK(memcmp(out[i], table[wanted[i]], sizeof out[i]) == 0);
    FAILS(nzip_error_null, nzip_Archive_gatherRows(archive, number, NULL, 3, out, 3 * sizeof out[0]));
    nzip_freeArchive(archive);
    free(packed.bytes);
    nzip_freeCCtx(cctx);
}

int main(int count, char **arguments) {
    if (count == 2 && strcmp(arguments[1], "basics") == 0) {
        results();
        misuse();
        streams();
        messages();
        archives();
        tensors();
    } else if (count == 4 && strcmp(arguments[1], "same") == 0) {
        Bytes packed = read_file(arguments[2]), raw = read_file(arguments[3]);
        same(packed, raw);
        free(packed.bytes);
        free(raw.bytes);
    } else if (count == 5 && strcmp(arguments[1], "packs") == 0) {
        Bytes raw = read_file(arguments[2]), packed = read_file(arguments[3]);
        packs(raw, packed, atoi(arguments[4]));
        free(packed.bytes);
        free(raw.bytes);
    } else {
        fprintf(stderr, "test basics | same PACKED RAW | packs RAW PACKED LEVEL\n");
        return 2;
    }
    return 0;
}
