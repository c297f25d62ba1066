/* A TFLite delegate library that behaves like one of the ways an Edge TPU's may:
   BEHAVIOUR is WORKS, REFUSES, SEGFAULTS, ABORTS or HANGS. It claims no operators, so a model runs on
   the CPU. */
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { WORKS, REFUSES, SEGFAULTS, ABORTS, HANGS };

/* The head of TfLiteDelegate in tensorflow/lite/core/c/common.h. */
struct delegate {
  void *data;
  int (*prepare)(void *context, struct delegate *self);
  void *unused[3];
  int64_t flags;
  void *opaque[2];
};

static int prepare(void *context, struct delegate *self) {
  (void)context;
  (void)self;
  if (BEHAVIOUR == SEGFAULTS) raise(SIGSEGV);
  if (BEHAVIOUR == ABORTS) abort();
  if (BEHAVIOUR == HANGS) pause();
  return 0;
}

void *tflite_plugin_create_delegate(char **keys, char **values, size_t count,
                                    void (*report)(const char *)) {
  (void)keys;
  (void)values;
  (void)count;
  (void)report;
  if (BEHAVIOUR == REFUSES) return NULL;
  struct delegate *made = calloc(1, sizeof *made);
  made->prepare = prepare;
  return made;
}

void tflite_plugin_destroy_delegate(void *delegate) { free(delegate); }
