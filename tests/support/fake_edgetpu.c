/* A TFLite delegate library that behaves like one of the ways an Edge TPU's may. BEHAVIOUR is
   WORKS, REFUSES, SEGFAULTS, ABORTS or HANGS (from the start), MISFITS (crashes but for a runtime that
   gives the option `fits`), or what begins when the file that the option `fault_file` names is
   there: LIES (answers wrongly), FAILS (once, and takes the file away), LATE (answers after 0.3 s), TOLD
   (what the file says for as long as it is there: lies, hangs, or gone as one that is unplugged).

   As libedgetpu it claims the operator edgetpu-custom-op alone, which without a delegate cannot be
   run; here that operator copies its inputs to its outputs. */
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { WORKS, REFUSES, SEGFAULTS, ABORTS, HANGS, MISFITS, LIES, FAILS, LATE, TOLD };
enum { OK, ERROR };

/* The heads of the types of tensorflow/lite/core/c/common.h, as far as they are needed. */
struct ints { int size; int data[]; };

struct tensor {
  int type;
  void *data;
  struct ints *dims;
  float scale; int32_t zero_point;
  int allocation_type;
  size_t bytes;
  const void *allocation;
  const char *name;
  void *delegate;
  int buffer_handle;
  bool data_is_stale, is_variable;
  int quantization_type; void *quantization;
  void *sparsity;
  struct ints *dims_signature;
};

struct node { struct ints *inputs, *outputs; };

struct registration {
  void *(*init)(void *, const char *, size_t);
  void (*free)(void *, void *);
  int (*prepare)(void *, struct node *);
  int (*invoke)(void *, struct node *);
  const char *(*profiling_string)(const void *, const struct node *);
  int32_t builtin_code;
  const char *custom_name;
  int version;
  void *later[8];
};

struct context {
  size_t tensors_size;
  int (*plan)(struct context *, struct ints **);
  struct tensor *tensors;
  void *impl, *resize, *report, *add;
  int (*node)(struct context *, int, struct node **, struct registration **);
  int (*replace)(struct context *, struct registration, const struct ints *, void *);
};

struct delegate {
  void *data;
  int (*prepare)(struct context *, struct delegate *);
  void *unused[3];
  int64_t flags;
  void *opaque[2];
  /* Ours: */
  struct node claimed;
  bool fits;
  char fault_file[512];
};

struct delegate_params { struct delegate *delegate; };

static void *begin(void *context, const char *params, size_t length) {
  (void)context; (void)length;
  return ((struct delegate_params *)params)->delegate;
}

/* The first letter of what the file says; 0 where there is none. */
static int told(const char *path) {
  FILE *file = BEHAVIOUR == TOLD && *path ? fopen(path, "r") : NULL;
  int letter = file ? fgetc(file) : 0;
  if (file) fclose(file);
  return letter;
}

static int invoke(void *context, struct node *node) {
  struct delegate *self = ((void **)node)[4]; /* user_data, what begin() returned */
  struct tensor *tensors = ((struct context *)context)->tensors;
  bool fault = *self->fault_file && access(self->fault_file, F_OK) == 0;
  if (fault && BEHAVIOUR == LATE) usleep(300000);
  while (told(self->fault_file) == 'h') usleep(20000);
  if (told(self->fault_file) == 'g') return ERROR;
  if (fault && BEHAVIOUR == FAILS) {
    unlink(self->fault_file);
    return ERROR;
  }
  for (int i = 0; i < self->claimed.outputs->size; i++) {
    struct tensor *from = &tensors[self->claimed.inputs->data[i]];
    struct tensor *to = &tensors[self->claimed.outputs->data[i]];
    if ((fault && BEHAVIOUR == LIES) || told(self->fault_file) == 'l') memset(to->data, 0x80, to->bytes);
    else memcpy(to->data, from->data, to->bytes);
  }
  return OK;
}

static int prepare(struct context *context, struct delegate *self) {
  if (BEHAVIOUR == SEGFAULTS || (BEHAVIOUR == MISFITS && !self->fits)) raise(SIGSEGV);
  if (BEHAVIOUR == ABORTS) abort();
  if (BEHAVIOUR == HANGS) pause();
  struct ints *plan;
  if (context->plan(context, &plan) != OK) return ERROR;
  for (int i = 0; i < plan->size; i++) {
    struct node *node;
    struct registration *found;
    if (context->node(context, plan->data[i], &node, &found) != OK) return ERROR;
    if (!found->custom_name || strcmp(found->custom_name, "edgetpu-custom-op")) continue;
    struct registration mine = {.init = begin, .invoke = invoke, .custom_name = "stand-in", .version = 1};
    int one[2] = {1, plan->data[i]};
    self->claimed = *node;
    return context->replace(context, mine, (struct ints *)one, self);
  }
  return OK;
}

void *tflite_plugin_create_delegate(char **keys, char **values, size_t count,
                                    void (*report)(const char *)) {
  (void)report;
  if (BEHAVIOUR == REFUSES) return NULL;
  struct delegate *made = calloc(1, sizeof *made);
  made->prepare = prepare;
  made->flags = 1; /* AllowDynamicTensors: else the operator is prepared before it can be claimed */
  for (size_t i = 0; i < count; i++) {
    if (!strcmp(keys[i], "fits")) made->fits = true;
    if (!strcmp(keys[i], "fault_file")) strncpy(made->fault_file, values[i], 511);
  }
  if (told(made->fault_file) == 'g') {
    free(made);
    return NULL;
  }
  return made;
}

void tflite_plugin_destroy_delegate(void *delegate) { free(delegate); }
