/* What libheadrace.so offers besides its pass and ops: plans before a session exists, live figures,
 * traces. Plain C, so that Python's ctypes and any other language can call it.
 *
 * Strings that are returned belong to the caller: free them with headrace_free(). Functions that
 * can fail return a canonical status code (0 = OK) and set *error to a message; `error` may be
 * null. `options` is always a serialized tensorflow.RewriterConfig.CustomGraphOptimizer with the
 * keys of options.h. Every function may be called from any thread.
 */
#ifndef HEADRACE_TENSORFLOW_C_API_H_
#define HEADRACE_TENSORFLOW_C_API_H_

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define HEADRACE_EXPORT __attribute__((visibility("default")))

HEADRACE_EXPORT void headrace_free(char* text);

/* "0.1.0", and the TensorFlow version this library was compiled against, "2.21.0". Static strings.
 */
HEADRACE_EXPORT const char* headrace_version(void);
HEADRACE_EXPORT const char* headrace_built_for(void);

/* Plans a serialized GraphDef as the pass would plan it in a session with these options.
 * *plan: the JSON of docs/formats.md ("explain"), *text: the same for people. Either may be null.
 */
HEADRACE_EXPORT int headrace_explain(const void* graph_def, size_t graph_def_size,
                                     const void* options, size_t options_size, char** plan,
                                     char** text, char** error);

/* The rewritten graph as a serialized GraphDef (*graph_def_out, *size_out). */
HEADRACE_EXPORT int headrace_rewrite(const void* graph_def, size_t graph_def_size,
                                     const void* options, size_t options_size, char** graph_def_out,
                                     size_t* size_out, char** error);

/* Checks options; *error names field, value and range. */
HEADRACE_EXPORT int headrace_check_options(const void* options, size_t options_size, char** error);

/* JSON list of the live stages whose options carry `tag` ("" = all stages of the process); see
 * docs/formats.md ("stats"). */
HEADRACE_EXPORT char* headrace_stats(const char* tag);

/* Stops the live stages with `tag`: what they read ahead stays with its source, later takes fail
 * with CANCELLED. Returns how many were stopped. */
HEADRACE_EXPORT int headrace_close(const char* tag);

/* Records spans (reads, bodies, takes, steps) of every stage until stopped; *json then holds a
 * Chrome trace ("traceEvents"). At most max_events are kept; later ones are counted and named in
 * the trace. */
HEADRACE_EXPORT void headrace_trace_start(size_t max_events);
HEADRACE_EXPORT char* headrace_trace_stop(void);

/* Accounts of records (src/feed/account.h), by name: one is opened before a dataset whose ops name
 * it runs, told which elements an applied step has used (identities, padding left out), and asked
 * what was settled since the last time: {"trained": [identity, ...], "dropped": {op: [identity,
 * ...]}, "outstanding": count}. */
HEADRACE_EXPORT int headrace_account_open(const char* name, char** error);
HEADRACE_EXPORT void headrace_account_close(const char* name);
HEADRACE_EXPORT int headrace_account_applied(const char* name, const int64_t* identities,
                                             size_t count, char** error);
HEADRACE_EXPORT int headrace_account_end(const char* name, const char* by, char** error);
HEADRACE_EXPORT int headrace_account_take(const char* name, char** json, char** error);

/* Queues of record ranges (src/feed/range_queue.h), by name: what Headrace>RecordRangesDataset
 * reads. `file` is the file's position in the job's list. */
HEADRACE_EXPORT int headrace_ranges_open(const char* name, char** error);
HEADRACE_EXPORT int headrace_ranges_push(const char* name, const char* path, int64_t file,
                                         int64_t begin, int64_t end, char** error);
HEADRACE_EXPORT int headrace_ranges_flush(const char* name, char** error);
HEADRACE_EXPORT int headrace_ranges_finish(const char* name, char** error);
HEADRACE_EXPORT void headrace_ranges_close(const char* name);

/* The feed of a program under `headrace run` (src/tensorflow/runtime/process_feed.h), one a
 * process. `welcome`: JSON {"worker", "number", "job"}. commit: a step that used these records was
 * applied; commit_noted: the next `count` noted ones were. leave: `why` is empty unless the program
 * failed. */
HEADRACE_EXPORT int headrace_feed_connect(const char* socket, const char* program, int prefetch,
                                          char** welcome, char** error);
HEADRACE_EXPORT int headrace_feed_commit(const int64_t* identities, size_t count, char** error);
HEADRACE_EXPORT int headrace_feed_commit_noted(int64_t count, char** error);
HEADRACE_EXPORT int headrace_feed_iterator_failed(int code, const char* message, char** error);
HEADRACE_EXPORT int headrace_feed_leave(const char* why, char** error);

#ifdef __cplusplus
}
#endif

#endif /* HEADRACE_TENSORFLOW_C_API_H_ */
