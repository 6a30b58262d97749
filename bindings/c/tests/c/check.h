// What the tests in C and in C++ share.
#ifndef CHECK_H
#define CHECK_H

#include "nzip.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CHECK(condition)                                                                           \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            fprintf(stderr, "%s:%d: %s\n  last message: %s\n", __FILE__, __LINE__, #condition,     \
                    nzip_lastErrorMessage());                                                      \
            exit(1);                                                                               \
        }                                                                                          \
    } while (0)

// The result of a call that must not fail.
#define GOOD(call) check_good(call, #call, __FILE__, __LINE__)
// A call must fail with this code.
#define FAILS(code, call)                                                                          \
    do {                                                                                           \
        size_t result_ = (call);                                                                   \
        CHECK(nzip_isError(result_) && nzip_getErrorCode(result_) == (code));                      \
        CHECK(strlen(nzip_getErrorName(result_)) > 3);                                             \
    } while (0)

static inline size_t check_good(size_t result, const char *what, const char *file, int line) {
    if (nzip_isError(result)) {
        fprintf(stderr, "%s:%d: %s: %s: %s\n", file, line, what, nzip_getErrorName(result),
                nzip_lastErrorMessage());
        exit(1);
    }
    return result;
}

#endif
