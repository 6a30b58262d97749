// nzip: lossless compression with learned models.
//
// Functions whose result is a size_t return an error as a very large number, which nzip_isError
// recognises; nzip_getErrorName names it, and nzip_lastErrorMessage says what happened.
//
// A context or an archive may be used by one thread at a time. Buffers that a call reads must not
// overlap those that it writes.
//
// This file is made from the sources by cbindgen.

#ifndef NZIP_H
#define NZIP_H

#include <stddef.h>
#include <stdint.h>

// The version of this header.
#define NZIP_VERSION_MAJOR 0

#define NZIP_VERSION_MINOR 1

#define NZIP_VERSION_PATCH 0

// The level of nzip_CCtx_setParameter if none is set.
#define NZIP_DEFAULT_LEVEL 6

// The value that stands for an error where a size of 64 bits is returned.
#define NZIP_SIZE_ERROR 18446744073709551614ull

// The kinds of errors. More may come in later versions.
typedef enum nzip_ErrorCode {
  // No error.
  nzip_error_no_error = 0,
  // An error of a kind that this header does not know.
  nzip_error_generic = 1,
  // The data needs a newer version of nzip.
  nzip_error_newer_version = 10,
  // The data is no .nz stream.
  nzip_error_not_nz = 11,
  // The data contradicts itself or a checksum.
  nzip_error_corrupt = 12,
  // The data ends before it should.
  nzip_error_truncated = 13,
  // The data names a model that could not be found.
  nzip_error_missing_model = 14,
  // The data is coded against a base tensor that was not given.
  nzip_error_missing_base = 15,
  // An argument is out of range, or does not fit the others.
  nzip_error_bad_argument = 20,
  // A pointer is null.
  nzip_error_null = 21,
  // The context or archive is in use, by another thread or by a function that has called back.
  nzip_error_busy = 22,
  // The buffer for the result is too short.
  nzip_error_dst_too_small = 30,
  // More memory is needed than is allowed, or there is.
  nzip_error_memory = 31,
  // Reading has failed.
  nzip_error_io = 32,
  // A device has failed.
  nzip_error_device = 33,
  // An error in nzip itself. The context or archive can only be freed.
  nzip_error_internal = 90,
  // All codes are below this one.
  nzip_error_max = 120,
} nzip_ErrorCode;

// Parameters of a compression context, set by nzip_CCtx_setParameter.
typedef enum nzip_cParameter {
  // 1 (fast) to 9 (small).
  nzip_c_level = 1,
  // Threads; 0 is one per core, the default. The result does not depend on them.
  nzip_c_threads = 2,
  // The most memory to use, in bytes (approximate); 1 GiB by default.
  nzip_c_memory = 3,
  // The most memory that decompressing the result may take, in bytes; no limit by default.
  nzip_c_decodeMemory = 4,
  // Raw bytes of a block: 4096 to 2^30. By default it depends on codec and level.
  nzip_c_blockSize = 5,
  // 1: blocks of 1 MiB, so that ranges are cheap to read.
  nzip_c_seekable = 6,
  // 1: the model is put into the stream where that pays.
  nzip_c_embedModel = 7,
  // 1: a stream of one block has a hash of its content, too.
  nzip_c_contentHash = 8,
  // 0: gzip, PNG and other deflate streams in the content are not undone.
  nzip_c_undo = 9,
  // Payload bytes of a window: a multiple of 4 in 64 to 2^20.
  nzip_c_window = 10,
  // 0: windows of imported language models decode alone.
  nzip_c_chained = 11,
} nzip_cParameter;

// Parameters of a decompression context, set by nzip_DCtx_setParameter.
typedef enum nzip_dParameter {
  // Threads; 0 is one per core, the default.
  nzip_d_threads = 1,
  // The most memory to use, in bytes (approximate); 1 GiB by default. Streams that need more are refused.
  nzip_d_memory = 2,
  // 1: the hash of each stream is verified, in addition to the check values.
  nzip_d_verifyHash = 3,
} nzip_dParameter;

// How nzip_compressStream goes on once it has taken all of its input.
typedef enum nzip_EndDirective {
  // It waits for more, and may keep what it has taken.
  nzip_e_continue = 0,
  // It ends a block: everything taken so far can be decompressed.
  nzip_e_flush = 1,
  // It ends the stream.
  nzip_e_end = 2,
} nzip_EndDirective;

// A compressed file of which any part can be read.
typedef struct nzip_Archive nzip_Archive;

// A compression context. It keeps options, models and threads from one content to the next.
typedef struct nzip_CCtx nzip_CCtx;

// A decompression context. It keeps options, models and threads from one content to the next.
typedef struct nzip_DCtx nzip_DCtx;

// Room to be written to, of which `pos` bytes have been.
typedef struct nzip_outBuffer {
  // The room.
  void *dst;
  // Its size in bytes.
  size_t size;
  // The place where writing stopped. 0 <= pos <= size
  size_t pos;
} nzip_outBuffer;

// Bytes to be read, `pos` of which have been.
typedef struct nzip_inBuffer {
  // The bytes.
  const void *src;
  // Their number.
  size_t size;
  // The place where reading stopped. 0 <= pos <= size
  size_t pos;
} nzip_inBuffer;

// Reads up to `size` bytes from `offset` on into `buffer`. Returns how many: fewer only where that suits it,
// 0 only at the end, a negative number where reading fails. It is called by the thread that calls the function
// of the archive. It must not use the archive, and must return: no exceptions, no longjmp.
typedef int64_t (*nzip_readAt)(void *user, uint64_t offset, void *buffer, size_t size);

// A block of a file.
typedef struct nzip_BlockInfo {
  // The offset of its first raw byte.
  uint64_t rawOffset;
  // Its raw bytes.
  uint64_t rawSize;
  // Its offset in the file.
  uint64_t storedOffset;
  // Its bytes in the file.
  uint64_t storedSize;
  // The most raw bytes that are decoded to read one of them.
  uint64_t rangeCost;
  // The name of its codec.
  const char *codec;
} nzip_BlockInfo;

// A tensor of a file. What pointers point to stays as long as the archive.
typedef struct nzip_TensorInfo {
  // Its name, UTF-8, with a zero behind it.
  const char *name;
  // Bytes of the name, without the zero.
  size_t nameSize;
  // The type of its elements, such as "F32" or "BF16".
  const char *dtype;
  // Its dimensions, the one that varies fastest last.
  const uint64_t *shape;
  // The number of dimensions.
  size_t rank;
  // The offset of its first raw byte.
  uint64_t offset;
  // Its raw bytes.
  uint64_t size;
} nzip_TensorInfo;

#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

// The version of the library: 10000 * major + 100 * minor + patch.
uint32_t nzip_versionNumber(void);

// The version of the library in words.
const char *nzip_versionString(void);

// Whether a result is an error.
uint32_t nzip_isError(size_t result);

// The kind of error that a result stands for.
enum nzip_ErrorCode nzip_getErrorCode(size_t result);

// The name of the kind of error that a result stands for.
const char *nzip_getErrorName(size_t result);

// The message of the function that failed last on this thread: where, what was expected, what was found.
// Empty if none has failed. The text stays until the next failure on this thread.
const char *nzip_lastErrorMessage(void);

// The most bytes that compressing so many gives, where codecs are chosen automatically, blocks have their
// default size, and no model is embedded; an error where no such buffer can exist.
size_t nzip_compressBound(size_t srcSize);

// Compresses `src` into one stream, at a level of 1 (fast) to 9 (small), 0 being the default. Returns its size.
// For many small contents, nzip_compress2 is faster.
size_t nzip_compress(void *dst,
                     size_t dstCapacity,
                     const void *src,
                     size_t srcSize,
                     int level);

// Makes a compression context; null where there is no memory.
struct nzip_CCtx *nzip_createCCtx(void);

// Frees a compression context. Null is allowed.
size_t nzip_freeCCtx(struct nzip_CCtx *cctx);

// Sets an nzip_cParameter, between streams.
size_t nzip_CCtx_setParameter(struct nzip_CCtx *cctx, int parameter, int64_t value);

// Sets the codec by its name, such as "zstd" or "lm"; "auto" chooses for each block, which is the default.
size_t nzip_CCtx_setCodec(struct nzip_CCtx *cctx,
                          const char *codec);

// Sets the model of codecs that need one: the name of a model that ships, the path of a weight file (packed
// or plain), or a hash in hexadecimal digits.
size_t nzip_CCtx_setModel(struct nzip_CCtx *cctx,
                          const char *model);

// Says that contents are one tensor each: the type of its elements, such as "F32" or "BF16", and its shape.
size_t nzip_CCtx_setTensor(struct nzip_CCtx *cctx,
                           const char *dtype,
                           const uint64_t *shape,
                           size_t rank);

// Gives up the stream that has been begun, if there is one. Options and models stay.
size_t nzip_CCtx_reset(struct nzip_CCtx *cctx);

// Compresses `src` into one stream, with the options of a context. Returns its size.
size_t nzip_compress2(struct nzip_CCtx *cctx,
                      void *dst,
                      size_t dstCapacity,
                      const void *src,
                      size_t srcSize);

// Takes bytes of the input and puts bytes of a stream out, until one of them is used up; then, once all has
// been taken, does what an nzip_EndDirective says. Returns 0 when that is done and all is put out. Otherwise
// the output is full: the same call is to be made again with room for at least as many bytes as it returns,
// or less, more often. After nzip_e_end the next call begins another stream. After an error, only
// nzip_CCtx_reset or nzip_freeCCtx goes on.
size_t nzip_compressStream(struct nzip_CCtx *cctx,
                           struct nzip_outBuffer *output,
                           struct nzip_inBuffer *input,
                           int endOp);

// The name of a codec of this library; null where `number` is not below their count.
const char *nzip_codecName(size_t number);

// Whether these are the first bytes of a .nz stream; at least 7 are needed.
uint32_t nzip_isNz(const void *src, size_t srcSize);

// The raw bytes of the streams that `src` is, as their indexes say, or NZIP_SIZE_ERROR. Decompresses nothing.
// It may be as large as a hostile file wants: memory should not be taken on its word alone.
uint64_t nzip_contentSize(const void *src,
                          size_t srcSize);

// Decompresses all streams of `src`. Returns the size of the result. For many small contents,
// nzip_decompressDCtx is faster.
size_t nzip_decompress(void *dst, size_t dstCapacity, const void *src, size_t srcSize);

// Makes a decompression context; null where there is no memory.
struct nzip_DCtx *nzip_createDCtx(void);

// Frees a decompression context. Null is allowed.
size_t nzip_freeDCtx(struct nzip_DCtx *dctx);

// Sets an nzip_dParameter, between streams.
size_t nzip_DCtx_setParameter(struct nzip_DCtx *dctx, int parameter, int64_t value);

// Adds a model that streams may name: the path of a weight file, packed or plain. Models that ship, and those
// in the user's model folder, are found without this.
size_t nzip_DCtx_addModel(struct nzip_DCtx *dctx,
                          const char *model);

// Gives up the stream that has been begun, if there is one. Options and models stay.
size_t nzip_DCtx_reset(struct nzip_DCtx *dctx);

// Decompresses all streams of `src`, with the options of a context. Returns the size of the result.
size_t nzip_decompressDCtx(struct nzip_DCtx *dctx,
                           void *dst,
                           size_t dstCapacity,
                           const void *src,
                           size_t srcSize);

// Takes bytes of a stream from the input and puts raw bytes out, until one of them is used up or the stream
// ends. Returns 0 where it has ended and all is put out; the next call begins another stream. Otherwise more
// input or more room is needed: a file that ends before 0 is returned is truncated. With an error, the last bytes
// before it may be put out; after it, only nzip_DCtx_reset or nzip_freeDCtx goes on.
size_t nzip_decompressStream(struct nzip_DCtx *dctx,
                             struct nzip_outBuffer *output,
                             struct nzip_inBuffer *input);

// Opens the `size` bytes that a function reads, with the options of a context or, where that is null, the
// defaults. Null on failure. `user` is passed to the function, and must stay valid as long as the archive.
struct nzip_Archive *nzip_openArchive(const struct nzip_DCtx *dctx,
                                      nzip_readAt readAt,
                                      void *user,
                                      uint64_t size);

// Opens a file, with the options of a context or, where that is null, the defaults. Null on failure.
struct nzip_Archive *nzip_openArchiveFile(const struct nzip_DCtx *dctx,
                                          const char *fileName);

// Closes an archive. Null is allowed.
size_t nzip_freeArchive(struct nzip_Archive *archive);

// Raw bytes in all streams, or NZIP_SIZE_ERROR.
uint64_t nzip_Archive_size(const struct nzip_Archive *archive);

// Bytes of the file, or NZIP_SIZE_ERROR.
uint64_t nzip_Archive_storedSize(const struct nzip_Archive *archive);

// Raw bytes that ranges have had decoded so far, or NZIP_SIZE_ERROR.
uint64_t nzip_Archive_decodedBytes(const struct nzip_Archive *archive);

// Reads raw bytes from an offset on. Returns how many: fewer than `size` only at the end. What was decoded
// around them is kept, so that reading on costs little.
size_t nzip_Archive_read(struct nzip_Archive *archive,
                         uint64_t offset,
                         void *dst,
                         size_t size);

// Fills `dst` with the raw bytes from an offset on, and keeps nothing: for single ranges, and for tiles of
// tensors, which are decoded where they stay. Returns `size`.
size_t nzip_Archive_readRange(struct nzip_Archive *archive,
                              uint64_t offset,
                              void *dst,
                              size_t size);

// Decodes everything, and verifies all check values and hashes. Returns 0 or an error.
size_t nzip_Archive_verify(struct nzip_Archive *archive);

// The number of blocks, or an error.
size_t nzip_Archive_blockCount(const struct nzip_Archive *archive);

// Describes a block. Returns 0 or an error.
size_t nzip_Archive_block(struct nzip_Archive *archive, size_t number, struct nzip_BlockInfo *info);

// The number of tensors, or an error.
size_t nzip_Archive_tensorCount(struct nzip_Archive *archive);

// Describes a tensor. Returns 0 or an error.
size_t nzip_Archive_tensor(struct nzip_Archive *archive,
                           size_t number,
                           struct nzip_TensorInfo *info);

// The number of the tensor that has this name, or an error.
size_t nzip_Archive_findTensor(struct nzip_Archive *archive, const char *name, size_t nameSize);

// Decodes a tensor into a buffer of exactly its size. Returns the size.
size_t nzip_Archive_readTensor(struct nzip_Archive *archive, size_t number, void *dst, size_t size);

// Decodes `count` rows of a tensor, from row `first` on, into a buffer of exactly their size. Returns the size.
// A row is what the first dimension counts; a tensor with fewer than two dimensions is one row.
size_t nzip_Archive_readRows(struct nzip_Archive *archive,
                             size_t number,
                             uint64_t first,
                             uint64_t count,
                             void *dst,
                             size_t size);

// Decodes rows of a tensor in any order into a buffer of exactly their size, one directly after the other.
// Returns the size.
size_t nzip_Archive_gatherRows(struct nzip_Archive *archive,
                               size_t number,
                               const uint64_t *rows,
                               size_t count,
                               void *dst,
                               size_t size);

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus

#endif  /* NZIP_H */
