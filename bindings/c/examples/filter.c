// A decompression filter over nzip, in the shape that libarchive gives to its filters: a bidder that looks at the
// first bytes, and a reader that hands out blocks of raw bytes. A plugin author replaces `Upstream` by the reader of
// the program (in libarchive __archive_read_filter_ahead and __archive_read_filter_consume; in a 7-Zip codec
// ISequentialInStream::Read), and keeps the rest.
//
//   filter < FILE.nz > FILE      decompresses
//   filter -c < FILE > FILE.nz   compresses
//
//   cc filter.c $(pkg-config --cflags --libs nzip) -o filter

#include <nzip.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ROOM = 64 * 1024, MAGIC = 7 };

// Where bytes come from: `ahead` shows at least so many without taking them, fewer only at the end.
typedef struct {
    FILE *file;
    unsigned char bytes[ROOM];
    size_t start, end;
} Upstream;

static const void *ahead(Upstream *up, size_t least, size_t *available) {
    if (up->end - up->start < least) {
        memmove(up->bytes, up->bytes + up->start, up->end - up->start);
        up->end -= up->start;
        up->start = 0;
        size_t n = 1;
        while (up->end < least && (n = fread(up->bytes + up->end, 1, ROOM - up->end, up->file)) > 0) up->end += n;
    }
    *available = up->end - up->start;
    return up->bytes + up->start;
}

static void consume(Upstream *up, size_t n) { up->start += n; }

// The bidder: how many bits of the input speak for this format.
static int bid(Upstream *up) {
    size_t available;
    const void *start = ahead(up, MAGIC, &available);
    return nzip_isNz(start, available) ? 8 * MAGIC : 0;
}

// The reader. A file may hold several streams, one after the other.
typedef struct {
    Upstream *up;
    nzip_DCtx *dctx;
    unsigned char *room;
    int between; // between two streams, where the file may end
} Filter;

static int filter_open(Filter *self, Upstream *up) {
    *self = (Filter){up, nzip_createDCtx(), malloc(ROOM), 1};
    if (self->dctx == NULL || self->room == NULL) return -1;
    // Programs that open files of others want a limit.
    return nzip_isError(nzip_DCtx_setParameter(self->dctx, nzip_d_memory, 512 << 20)) ? -1 : 0;
}

// A block of raw bytes: its size, 0 at the end, -1 on errors.
static long filter_read(Filter *self, const void **block) {
    nzip_outBuffer out = {self->room, ROOM, 0};
    while (out.pos == 0) {
        size_t available;
        const void *bytes = ahead(self->up, 1, &available);
        if (available == 0 && self->between) break;
        nzip_inBuffer in = {bytes, available, 0};
        size_t result = nzip_decompressStream(self->dctx, &out, &in);
        if (nzip_isError(result)) {
            fprintf(stderr, "nzip: %s\n", nzip_lastErrorMessage());
            return -1;
        }
        consume(self->up, in.pos);
        self->between = result == 0;
        if (available == 0 && out.pos == 0 && !self->between) {
            fprintf(stderr, "nzip: the input ends before its end\n");
            return -1;
        }
    }
    *block = self->room;
    return (long)out.pos;
}

static void filter_close(Filter *self) {
    nzip_freeDCtx(self->dctx);
    free(self->room);
}

static int decompress(void) {
    static Upstream up = {.file = NULL};
    up.file = stdin;
    if (bid(&up) == 0) {
        fprintf(stderr, "nzip: not a .nz file\n");
        return 1;
    }
    Filter filter;
    if (filter_open(&filter, &up) != 0) return 1;
    const void *block;
    long n;
    while ((n = filter_read(&filter, &block)) > 0) fwrite(block, 1, (size_t)n, stdout);
    filter_close(&filter);
    return n < 0 || fflush(stdout) != 0;
}

static int compress(void) {
    static unsigned char raw[ROOM], packed[ROOM];
    nzip_CCtx *cctx = nzip_createCCtx();
    size_t n, left;
    do {
        n = fread(raw, 1, ROOM, stdin);
        nzip_inBuffer in = {raw, n, 0};
        do {
            nzip_outBuffer out = {packed, ROOM, 0};
            left = nzip_compressStream(cctx, &out, &in, n == 0 ? nzip_e_end : nzip_e_continue);
            if (nzip_isError(left)) {
                fprintf(stderr, "nzip: %s\n", nzip_lastErrorMessage());
                return 1;
            }
            fwrite(packed, 1, out.pos, stdout);
        } while (left > 0);
    } while (n > 0);
    nzip_freeCCtx(cctx);
    return fflush(stdout) != 0;
}

int main(int count, char **arguments) {
    return count > 1 && strcmp(arguments[1], "-c") == 0 ? compress() : decompress();
}
