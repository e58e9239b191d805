/*
 * libkvcached.so: elastic KV-cache memory for LLM engines.
 *
 * The engine's scheduler opens a session and a pool, allocates and frees blocks in process, and asks for more pages ahead of need. Each worker
 * attaches to its rank and gets one address range whose tensors it uses as its KV cache; pages come and go underneath it.
 *
 * Conventions
 *   Result      Functions return KVC_OK (0) or an error code; kvc_status_name() names it, kvc_last_error() says what failed, on what, and what to
 *               do. A call that failed has changed nothing, unless its description says otherwise. Output is written only on KVC_OK, unless
 *               its description says otherwise.
 *   Handles     64-bit numbers, checked on every call: a closed, foreign or made-up one gives KVC_ERROR_BAD_HANDLE. 0 is never a handle.
 *   Threads     Any function may be called from any thread, at the same time. Those with a timeout block that long at most; the others don't wait
 *               for anybody.
 *   Structs     Those that the caller fills start with struct_bytes: set it to sizeof the struct and everything else to zero, then what matters.
 *               Zero always means the default.
 *   Text        UTF-8, ended by a zero byte; copied before the call returns.
 *   Pointers    A null pointer where one is needed gives KVC_ERROR_INVALID_ARGUMENT. Others are trusted, as in any C library.
 *   Units       Bytes for sizes, milliseconds for times, counted from 0 for groups, layers, buffers and ranks.
 *   Fork        The library starts with the first call, not when it is loaded. A process that is forked afterwards gets KVC_ERROR_FORKED from every
 *               call; its copies of the library's descriptors are closed, and of its main memory unmapped. A process forked before may use it.
 *   Signals     Handlers stay the engine's. Only SIGRTMIN is taken, while the library starts; leave it alone and unblocked. SIGPIPE is never raised.
 *   dlclose     Does nothing; the library stays until the process ends.
 *
 * Linux on x86-64; needs the C library alone, and the CUDA driver (libcuda.so.1) for memory of GPUs.
 */
#ifndef KVCACHED_H
#define KVCACHED_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define KVC_API __attribute__((visibility("default")))

/* Raised when a program that was compiled against an older header would not work any more. */
#define KVC_ABI_VERSION 1

typedef uint64_t kvc_handle;

/* ---- errors ---------------------------------------------------------------------------------------------------------------------------- */

enum {
    KVC_OK = 0,

    /* The call itself. */
    KVC_ERROR_INVALID_ARGUMENT = 1, /* a null pointer, a count or an index out of range, text that is none, a struct of another size */
    KVC_ERROR_BAD_HANDLE = 2,       /* closed, of another kind, of another process, or never one */
    KVC_ERROR_FORKED = 3,           /* the process was forked after the library had started */
    KVC_ERROR_INTERNAL = 4,         /* a bug of the library, or the process has no memory left */
    KVC_ERROR_BUFFER_TOO_SMALL = 5, /* the count that was written says how many entries are needed */
    KVC_ERROR_NOT_THERE = 6,        /* what was asked for doesn't exist (yet) */

    /* Blocks; none of the blocks of the call was changed. */
    KVC_ERROR_NO_BLOCKS = 20,     /* fewer are free and evictable than asked for: grow */
    KVC_ERROR_FOREIGN = 21,       /* no such block: out of range, across two pages, or in a page that was never held */
    KVC_ERROR_STALE = 22,         /* its page was held, and has been given up */
    KVC_ERROR_DOUBLE_FREE = 23,   /* not in use: freed or cached before, or named twice */
    KVC_ERROR_NOT_CACHED = 24,    /* in use or free, where a cached block is needed, or named twice */
    KVC_ERROR_NOT_FREE = 25,      /* in use or cached, where a free block is needed */
    KVC_ERROR_NOT_TAGGED = 26,    /* has no tag, so that nobody could find it again */
    KVC_ERROR_BAD_TAG = 27,       /* a tag has 1 to KVC_MAX_TAG_BYTES bytes */
    KVC_ERROR_TAG_MISMATCH = 28,  /* cached under another tag than expected: it was evicted and used anew */

    /* Refusals by the domain: KVC_REFUSED plus the reason. */
    KVC_REFUSED = 100,
    KVC_REFUSED_UNKNOWN_POOL = 101,            /* no pool of that name; it may have been closed */
    KVC_REFUSED_UNKNOWN_GPU = 102,             /* no host of the domain lends memory of that GPU */
    KVC_REFUSED_UNKNOWN_SESSION = 103,         /* closed, or its lease ended */
    KVC_REFUSED_BAD_GEOMETRY = 104,            /* the spec breaks a rule */
    KVC_REFUSED_NAME_IN_USE = 105,             /* a pool of that name is open with another geometry, or by a living session */
    KVC_REFUSED_FLOOR_DOES_NOT_FIT = 106,      /* all floors together would exceed what a GPU lends */
    KVC_REFUSED_BAD_LIMIT = 107,               /* limit, floor or weight are out of range */
    KVC_REFUSED_LIMIT_EXCEEDED = 108,          /* the pool would be above its limit */
    KVC_REFUSED_OUT_OF_MEMORY = 109,           /* a GPU has too little free, and nobody gave enough up in time */
    KVC_REFUSED_INVALID_COUNT = 110,
    KVC_REFUSED_VIRTUAL_SPACE_EXHAUSTED = 111, /* all virtual pages of the group are taken */
    KVC_REFUSED_REQUEST_ID_REUSED = 112,
    KVC_REFUSED_STALE_EPOCH = 113,
    KVC_REFUSED_STALE_INCARNATION = 114,
    KVC_REFUSED_RANK_UNAVAILABLE = 115,        /* a rank's host can't be reached */
    KVC_REFUSED_DEADLINE_EXCEEDED = 116,       /* not all ranks answered in time; what they did was undone */
    KVC_REFUSED_DRIVER_FAILED = 117,
    KVC_REFUSED_STALE_EXTENT = 118,
    KVC_REFUSED_POOL_STOPPED = 119,
    KVC_REFUSED_RECOVERING = 120,
    KVC_REFUSED_BUSY = 121,
    KVC_REFUSED_ABORTED = 122,
    KVC_REFUSED_UNKNOWN_DOMAIN = 123,
    KVC_REFUSED_POOL_LOST = 124,               /* a rank's memory is gone with its host */
    KVC_REFUSED_NOT_SUPPORTED = 125,
    KVC_REFUSED_NOT_ATTACHED = 126,            /* a rank of the pool has no worker attached: nothing can be mapped yet */
    KVC_REFUSED_ALREADY_ATTACHED = 127,        /* a living worker is attached to that rank */
    KVC_REFUSED_UNSUPPORTED_VERSION = 128,
    KVC_REFUSED_WRONG_DEVICE = 129,
    KVC_REFUSED_NOT_ALLOWED = 130,
    KVC_REFUSED_HOST_UNREACHABLE = 131,        /* nobody answers at that socket */
    KVC_REFUSED_INVALID_MESSAGE = 132,
    KVC_REFUSED_DEVICE_SHORT = 133,            /* programs other than pools use so much of a GPU that nothing more is lent there */
    KVC_REFUSED_DRAINING = 134                 /* an operator has the GPU drained: nothing new is lent there */
};

/* The library's version, such as "0.1.0". Never fails; doesn't start the library. */
KVC_API const char *kvc_version(void);

/* KVC_ABI_VERSION of the library. Never fails; doesn't start the library. */
KVC_API int32_t kvc_abi_version(void);

/* The message of this thread's last failed call; empty when there was none. Valid until this thread's next failed call. Never fails. */
KVC_API const char *kvc_last_error(void);

/* Name of a code, such as "KVC_ERROR_NO_BLOCKS"; "KVC_UNKNOWN" for numbers that are none. Never fails. */
KVC_API const char *kvc_status_name(int32_t status);

/* ---- the scheduler's session ------------------------------------------------------------------------------------------------------------- */

typedef struct kvc_session_options {
    uint32_t struct_bytes;
    int32_t connect_timeout_ms;  /* how long kvc_open_session may take; default 30000 */
    const char *socket_path;     /* needed: engine socket of any host of the domain on this machine */
    const char *engine_name;     /* needed: for people; 1 to 64 characters */
    const char *domain;          /* default "default" */
    int32_t close_timeout_ms;    /* how long kvc_close_session may take; default 5000 */
    int32_t reserved;
} kvc_session_options;

/* Opens a session. Its lease is kept by the library; once the lease is near its end, no block is handed out any more. Blocks. */
KVC_API int32_t kvc_open_session(const kvc_session_options *options, kvc_handle *session);

/* KVC_OK while the session lives, else why it ended. is_connected (may be null): 1 while a host is connected, else 0; written in either case. */
KVC_API int32_t kvc_session_state(kvc_handle session, int32_t *is_connected);

/* Closes a session: its pools are closed, their memory is returned and their handles end. Blocks for close_timeout_ms at most. */
KVC_API int32_t kvc_close_session(kvc_handle session);

/* ---- pools ------------------------------------------------------------------------------------------------------------------------------- */

/* What one driver mapping covers. */
enum {
    KVC_LAYOUT_CONTIGUOUS = 1, /* all layers and buffers of a group: fastest; a block's layers lie side by side */
    KVC_LAYOUT_GROUPED = 2,    /* layers_per_mapping layers */
    KVC_LAYOUT_PER_LAYER = 3   /* one layer and buffer, as engines lay tensors out themselves */
};

enum {
    KVC_GROUP_MULTI_HEAD = 1,        /* keys and values: two buffers */
    KVC_GROUP_MULTI_HEAD_LATENT = 2, /* one latent buffer (MLA) */
    KVC_GROUP_SLIDING_WINDOW = 3,    /* keys and values of layers that look back a bounded number of tokens */
    KVC_GROUP_STATE = 4              /* a state of fixed size per sequence: a block is a slot */
};

enum {
    KVC_TARGET_HOST = 1,  /* pages are mapped in the hosts */
    KVC_TARGET_WORKER = 2 /* pages are mapped in the engine's workers: what engines want */
};

/* Layers that share a block shape. Per buffer and layer a page has page_bytes and a block block_bytes; both are the same on every rank. */
typedef struct kvc_group_spec {
    const char *name;           /* 1 to 64 characters, unique in the pool */
    int32_t kind;               /* KVC_GROUP_... */
    int32_t tokens_per_block;   /* from 1; 0 for states */
    int32_t layer_count;        /* on each rank, from 1; see kvc_pool_spec.rank_layers for ranks that differ */
    int32_t buffer_count;       /* 2 for keys and values, else 1 */
    int64_t block_bytes;        /* of one buffer and layer */
    int64_t page_bytes;         /* of one buffer and layer: a multiple of the driver's granularity, usually 2 MiB; at least a block */
    int32_t virtual_page_count; /* page ids of the group; virtual room costs no memory */
    int32_t reserved;
} kvc_group_spec;

typedef struct kvc_pool_spec {
    uint32_t struct_bytes;
    int32_t layout;                /* KVC_LAYOUT_..., default contiguous */
    const char *name;              /* unique in the domain: 1 to 64 letters, digits, dots, dashes, underscores */
    const kvc_group_spec *groups;
    const char *const *gpus;       /* rank_count UUIDs as nvidia-smi -L prints them ("GPU-..."), or "HOST-n"; ranks in order, TP within PP */
    const int32_t *rank_layers;    /* null, or layers of each rank and group: rank_layers[rank * group_count + group] */
    int32_t group_count;           /* 1 to 64 */
    int32_t rank_count;            /* 1 to 1024 */
    int32_t layers_per_mapping;    /* for KVC_LAYOUT_GROUPED, from 1; else 0 */
    int32_t target;                /* KVC_TARGET_..., default worker */
    int64_t limit_bytes;           /* most bytes on each GPU; default: all that the GPU lends */
    int64_t floor_bytes;           /* bytes on each GPU kept for this pool whatever others do; default 0 */
    int32_t weight;                /* share when there is too little, 1 to 1000000; default 1 */
    int32_t reserved;
} kvc_pool_spec;

/* When a pool grows, evicts and gives back by itself. */
typedef struct kvc_pool_options {
    uint32_t struct_bytes;
    int32_t no_growing_ahead;       /* 1: pages come only by kvc_pool_grow and kvc_blocks_alloc_or_grow */
    int32_t growth_horizon_ms;      /* blocks are kept free for the measured growth of this long; default 500 */
    int32_t minimum_free_blocks;    /* kept free of each group once it was used; default 0 */
    int32_t max_growth_pages;       /* most pages asked for ahead of need at once; default 256, and never more than
                                       make a mapping of 128 MiB, or one page where that is larger */
    int32_t warm_decay_ms;          /* unused extents go back after this long; -1 = never; default 5000 */
    int32_t warm_pages_to_keep;     /* of each group, left mapped by decay; default 0 */
    int32_t no_evicting_to_allocate; /* 1: kvc_blocks_alloc leaves cached blocks alone */
    int32_t no_giving_up_cached;    /* 1: extents with cached blocks are kept when another pool needs memory */
    int32_t no_null_block;          /* 1: no block of each group is set aside for padding, see kvc_pool_null_block */
    int32_t no_keeping_tags;        /* 1: a successor of this scheduler finds no tags */
    int32_t reserved;
    int64_t max_cached_bytes;       /* of cached blocks on a rank; beyond, the oldest are evicted; default: no cap */
} kvc_pool_options;

/* Says whether a spec keeps the rules, without asking anybody: KVC_OK, KVC_REFUSED_BAD_GEOMETRY, KVC_REFUSED_BAD_LIMIT or
 * KVC_ERROR_INVALID_ARGUMENT. Whether its GPUs exist and lend enough is known only when it is opened. */
KVC_API int32_t kvc_check_spec(const kvc_pool_spec *spec);

/* Opens a pool; or takes over one of the same name and geometry whose session has ended: what is mapped stays, and what had a tag is cached
 * (kvc_blocks_list_tagged). options may be null. Blocks for timeout_ms at most. */
KVC_API int32_t kvc_open_pool(
    kvc_handle session, const kvc_pool_spec *spec, const kvc_pool_options *options, int32_t timeout_ms, kvc_handle *pool);

/* KVC_OK while the pool can be used, else why not: withdrawn, closed, or the session's lease is nearly over. */
KVC_API int32_t kvc_pool_state(kvc_handle pool);

typedef struct kvc_availability {
    int32_t free_blocks;     /* can be had at once */
    int32_t cached_blocks;   /* more by evicting all that is cached */
    int64_t unmapped_blocks; /* more by growing, as far as virtual room goes; memory may be short all the same */
} kvc_availability;

/* What a group can hand out. */
KVC_API int32_t kvc_pool_available(kvc_handle pool, int32_t group, kvc_availability *availability);

/* Asks for pages of a group. All of them come, mapped on every rank, or none. granted_pages may be null. Blocks for timeout_ms at most. */
KVC_API int32_t kvc_pool_grow(kvc_handle pool, int32_t group, int32_t page_count, int32_t timeout_ms, int32_t *granted_pages);

/* Gives unused extents back, longest idle first, until at most warm_pages_to_keep such pages are left. returned_pages may be null. Blocks. */
KVC_API int32_t kvc_pool_trim(kvc_handle pool, int32_t group, int32_t warm_pages_to_keep, int32_t timeout_ms, int32_t *returned_pages);

/* Keeps the extents of these pages mapped until as many kvc_pool_unpin: for memory that is registered elsewhere (RDMA). KVC_ERROR_NOT_THERE
 * when one isn't mapped. */
KVC_API int32_t kvc_pool_pin(kvc_handle pool, int32_t group, int32_t first_page, int32_t page_count);

/* Takes one kvc_pool_pin of the same range back. KVC_ERROR_NOT_THERE when it isn't pinned. */
KVC_API int32_t kvc_pool_unpin(kvc_handle pool, int32_t group, int32_t first_page, int32_t page_count);

/* The block of a group with which engines pad block tables; never handed out, cached or given up. Waits until it is mapped, growing as
 * needed, for timeout_ms at most; with 0, KVC_ERROR_NOT_THERE when it isn't there yet. */
KVC_API int32_t kvc_pool_null_block(kvc_handle pool, int32_t group, int32_t timeout_ms, int32_t *block);

typedef struct kvc_extent {
    int32_t first_page;
    int32_t page_count; /* a power of 2 */
} kvc_extent;

/* The mapped extents of a group, in no order. KVC_ERROR_BUFFER_TOO_SMALL when there are more than capacity. */
KVC_API int32_t kvc_pool_extents(kvc_handle pool, int32_t group, kvc_extent *extents, int32_t capacity, int32_t *count);

typedef struct kvc_pool_stats {
    int32_t mapped_pages;
    int32_t warm_pages; /* of extents without used or cached block */
    int64_t used_blocks; /* with those for padding */
    int64_t cached_blocks;
    int64_t free_blocks;
    int64_t grants; /* growth requests */
    int64_t refusals;
    int64_t revoked_extents; /* given up when the domain asked */
    int64_t returned_extents; /* by trimming and decay */
    int64_t evicted_blocks;
    int32_t pinned_extents;
    int32_t rank_count;
} kvc_pool_stats;

/* Counts of this moment, over all groups. */
KVC_API int32_t kvc_pool_get_stats(kvc_handle pool, kvc_pool_stats *stats);

/* Bytes held, and bytes of used blocks, on one rank. Either pointer may be null. */
KVC_API int32_t kvc_pool_rank_bytes(kvc_handle pool, int32_t rank, int64_t *mapped_bytes, int64_t *live_bytes);

/* Closes a pool and returns its memory. Its handle ends in either case; an error says why the return isn't confirmed. Blocks for timeout_ms
 * at most. Workers unmap it once they have completed the last step that blocks were freed or cached with, and all that they have submitted. */
KVC_API int32_t kvc_close_pool(kvc_handle pool, int32_t timeout_ms);

/* The same for a scheduler that runs ahead of its workers: last_step is the last step that uses the pool, whether or not the workers have
 * submitted it. A step that never comes keeps the memory until the workers close their arenas or end. Below 1: as kvc_close_pool. */
KVC_API int32_t kvc_close_pool_after(kvc_handle pool, int64_t last_step, int32_t timeout_ms);

/* ---- blocks ------------------------------------------------------------------------------------------------------------------------------ */

#define KVC_MAX_TAG_BYTES 64

/* No step to wait for: the engine guarantees that nothing uses the memory any more. */
#define KVC_STEP_NONE INT64_C(0)
/* Wait for all work that the workers have submitted: for engines that don't count steps. */
#define KVC_STEP_SYNC INT64_MAX

typedef struct kvc_tag {
    uint8_t byte_count; /* 1 to 64 */
    uint8_t bytes[KVC_MAX_TAG_BYTES];
} kvc_tag;

/* Takes exactly count blocks from mapped pages, the fullest extents first; all or none. Evicts the oldest cached blocks when free ones run
 * out. No round trip. KVC_ERROR_NO_BLOCKS when there are too few, or the reason why the pool can't be used. */
KVC_API int32_t kvc_blocks_alloc(kvc_handle pool, int32_t group, int32_t *blocks, int32_t count);

/* As kvc_blocks_alloc, but asks for pages when blocks are short, and blocks for timeout_ms at most. */
KVC_API int32_t kvc_blocks_alloc_or_grow(kvc_handle pool, int32_t group, int32_t *blocks, int32_t count, int32_t timeout_ms);

/* Frees used blocks and drops their tags; all or none. last_step: the last engine step that reads or writes them, from 1, KVC_STEP_NONE or
 * KVC_STEP_SYNC; their memory isn't unmapped on any rank before that rank has completed it. */
KVC_API int32_t kvc_blocks_free(kvc_handle pool, int32_t group, const int32_t *blocks, int32_t count, int64_t last_step);

/* Gives a used or cached block its tag: its content is complete and worth finding again. */
KVC_API int32_t kvc_block_tag(kvc_handle pool, int32_t group, int32_t block, const uint8_t *tag, int32_t tag_bytes);

/* Tags one used block and makes it cached: evictable, and the most recently used. */
KVC_API int32_t kvc_block_cache(kvc_handle pool, int32_t group, int32_t block, const uint8_t *tag, int32_t tag_bytes, int64_t last_step);

/* Makes used blocks that have tags cached, all or none; the first counts as least recently used. */
KVC_API int32_t kvc_blocks_cache(kvc_handle pool, int32_t group, const int32_t *blocks, int32_t count, int64_t last_step);

/* Puts cached blocks to use again, all or none; they keep their tags. expected: null, or count tags that they must have; with it an engine can't
 * mistake a block that was evicted and used anew for what it once held (KVC_ERROR_TAG_MISMATCH). */
KVC_API int32_t kvc_blocks_take_cached(kvc_handle pool, int32_t group, const int32_t *blocks, int32_t count, const kvc_tag *expected);

/* Makes a cached block the most recently used. */
KVC_API int32_t kvc_block_touch(kvc_handle pool, int32_t group, int32_t block);

/* Makes cached blocks free, all or none. */
KVC_API int32_t kvc_blocks_evict(kvc_handle pool, int32_t group, const int32_t *blocks, int32_t count);

/* The tag of a block. KVC_ERROR_NOT_TAGGED when it has none. */
KVC_API int32_t kvc_block_get_tag(kvc_handle pool, int32_t group, int32_t block, kvc_tag *tag);

typedef struct kvc_tagged_block {
    int32_t block;
    uint8_t is_cached; /* 1 cached, 0 in use */
    kvc_tag tag;
} kvc_tagged_block;

/* All tagged blocks of a group, used and cached, in no order: what a scheduler that took a pool over rebuilds its prefix cache from.
 * KVC_ERROR_BUFFER_TOO_SMALL, with count written, when there are more than capacity. */
KVC_API int32_t kvc_blocks_list_tagged(kvc_handle pool, int32_t group, kvc_tagged_block *tagged, int32_t capacity, int32_t *count);

/* ---- the worker's memory --------------------------------------------------------------------------------------------------------------- */

/* What reading where nothing is mapped gives. KVC_GUARD_ZERO costs driver calls and a page of memory on a GPU, and leaves the addresses of an
 * extent bare for a moment while it comes or goes; docs/engines.md has the figures. Writing there faults in either case. */
enum {
    KVC_GUARD_NONE = 0, /* a fault */
    KVC_GUARD_ZERO = 1  /* zeroes */
};

typedef struct kvc_attach_options {
    uint32_t struct_bytes;
    int32_t rank;                /* this worker's rank */
    const char *socket_path;     /* needed: engine socket of the host of this worker's GPU */
    const char *pool_name;       /* needed */
    const char *device;          /* needed: UUID of the GPU ("GPU-..."), or "HOST-n"; as in the pool's spec */
    int32_t attach_timeout_ms;   /* how long to wait for the host and until the pool is opened; default 60000 */
    int32_t reattach_timeout_ms; /* a restarted host may be away for so long before the pool counts as gone; default 60000 */
    int32_t detach_timeout_ms;   /* how long work may hold up the end when the session closes; default 10000 */
    int32_t guard;               /* KVC_GUARD_...; default KVC_GUARD_NONE */
} kvc_attach_options;

/* Attaches this process to a rank of a pool and reserves its address range. Waits until the pool is open, and all is mapped that it holds by
 * then: a worker that takes the place of another may use the blocks of its scheduler at once. Pages that are granted later are mapped by the
 * library's own thread, before the scheduler hands out their blocks. For GPUs the driver is used without a context of its own. Blocks. */
KVC_API int32_t kvc_attach_rank(const kvc_attach_options *options, kvc_handle *arena);

typedef struct kvc_arena_info {
    uint64_t base_address; /* device pointer, or address in this process where is_host_accessible */
    int64_t byte_count;    /* of the address range; memory is taken only where pages are mapped */
    int32_t is_host_accessible;
    int32_t rank;
    int32_t group_count;
    int32_t tensor_count;
} kvc_arena_info;

/* Where the arena lies. The address stays the same as long as the arena lives. */
KVC_API int32_t kvc_arena_get_info(kvc_handle arena, kvc_arena_info *info);

/* One buffer of one layer: block b starts at base_address + offset_bytes + b * block_stride_bytes and has block_bytes. As a tensor of bytes:
 * shape (block_count, block_bytes), strides (block_stride_bytes, 1). Only blocks that the scheduler holds may be touched. */
typedef struct kvc_tensor {
    int32_t group;
    int32_t layer; /* within the group on this rank */
    int32_t buffer; /* 0 keys and 1 values, or 0 alone */
    int32_t tokens_per_block; /* 0 for states */
    int64_t offset_bytes;
    int64_t block_bytes;
    int64_t block_stride_bytes;
    int64_t block_count; /* ids that there is virtual room for */
} kvc_tensor;

/* The tensor of an index below tensor_count; ordered by group, layer and buffer. */
KVC_API int32_t kvc_arena_tensor(kvc_handle arena, int32_t index, kvc_tensor *tensor);

/* Name of a group, ended by a zero byte. byte_count (may be null): bytes with the zero, also written with KVC_ERROR_BUFFER_TOO_SMALL. */
KVC_API int32_t kvc_arena_group_name(kvc_handle arena, int32_t group, char *name, int32_t capacity, int32_t *byte_count);

/* KVC_OK while the pool is there, else why it is gone. is_attached (may be null): 1 while its host is connected; written in either case. */
KVC_API int32_t kvc_arena_state(kvc_handle arena, int32_t *is_attached);

/* All work of this step and those before it is complete on this rank. Steps are numbered from 1. */
KVC_API int32_t kvc_step_done(kvc_handle arena, int64_t step);

/* All work of this step, and of those before it, has been submitted to this CUDA stream (a CUstream of the current context; 0 is the default
 * stream); it is complete when the stream gets there. Records an event, never waits; during a graph capture it is put off to the next call. The
 * stream must live as long as the arena. An engine that captures CUDA graphs gives each stream that it captures to this function once before:
 * freeing with KVC_STEP_SYNC waits for the whole context, which would spoil a capture that the library doesn't know of. */
KVC_API int32_t kvc_step_done_on_stream(kvc_handle arena, int64_t step, void *stream);

typedef struct kvc_arena_stats {
    int32_t extents;
    int32_t pages;
    int64_t mapped_bytes; /* with those that are leaving or stuck */
    int32_t descriptors; /* open file descriptors of memory */
    int32_t leaving_extents; /* waiting for their step */
    int32_t stuck_extents; /* that the driver doesn't let go of */
    int32_t connections; /* times that a host attached this worker */
    int64_t completed_step; /* complete, with all before it */
    int64_t operations;
    int64_t refusals;
} kvc_arena_stats;

/* Counts of this moment; for an instant still those before the operation that was just answered. */
KVC_API int32_t kvc_arena_get_stats(kvc_handle arena, kvc_arena_stats *stats);

/* Waits for submitted work, unmaps everything and leaves. The handle ends in either case; an error says what could not be let go of, which
 * stays mapped until the process ends. Blocks for timeout_ms at most. */
KVC_API int32_t kvc_close_arena(kvc_handle arena, int32_t timeout_ms);

/* ---- events: what pools and arenas tell without being asked ------------------------------------------------------------------------------- */

enum {
    KVC_EVENT_EVICTED = 1,   /* pool: a cached block was evicted; forget it. group, block, tag */
    KVC_EVENT_SHRINK = 2,    /* pool: the domain asked for memory back. asked_pages, given_up_pages; what is freed or preempted within deadline_ms
                                is given up too, as soon as whole extents are free. deadline_ms 0: nobody waits for more */
    KVC_EVENT_WITHDRAWN = 3, /* pool: it is gone; its blocks must not be used any more. status */
    KVC_EVENT_POOL_GONE = 4, /* arena: the pool was closed or withdrawn, and everything unmapped. status */
    KVC_EVENT_LOST = 5       /* there were more events than room: lost_count are missing; list the tagged blocks anew */
};

typedef struct kvc_event {
    int32_t kind; /* KVC_EVENT_... */
    int32_t group;
    int32_t block;
    int32_t status; /* KVC_REFUSED_... */
    int32_t asked_pages;
    int32_t given_up_pages;
    int64_t lost_count;
    int64_t deadline_ms;
    kvc_tag tag;
    uint8_t reserved[7];
} kvc_event;

/* Called on a thread of the library, or, for KVC_EVENT_EVICTED, on the thread whose call evicted. No lock is held: it may call the library, but
 * not close the handle, and it must not block, for the library's answers to the domain wait meanwhile. The event is valid during the call. */
typedef void (*kvc_event_callback)(void *context, const kvc_event *event);

/* Sends the events of a pool or arena to a callback from now on; null ends that, and waits for calls in progress on other threads to
 * return. While there is a callback, nothing is kept for kvc_events_poll. */
KVC_API int32_t kvc_events_callback(kvc_handle handle, kvc_event_callback callback, void *context);

/* Keeps events of a pool or arena for kvc_events_poll from now on, at most capacity (1 to 1048576) at a time; 0 stops keeping them and forgets
 * those kept. */
KVC_API int32_t kvc_events_keep(kvc_handle handle, int32_t capacity);

/* Takes up to capacity events in their order; waits for the first timeout_ms at most (0 doesn't wait, -1 has no end). count may become 0. */
KVC_API int32_t kvc_events_poll(kvc_handle handle, kvc_event *events, int32_t capacity, int32_t timeout_ms, int32_t *count);

/* A descriptor that is readable while events are kept: for poll, epoll and event loops. The library's to read and close. */
KVC_API int32_t kvc_events_descriptor(kvc_handle handle, int32_t *descriptor);

#ifdef __cplusplus
}
#endif

#endif
